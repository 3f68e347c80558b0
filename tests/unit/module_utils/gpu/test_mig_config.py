"""Layouts by name, in nvidia-mig-parted's format."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.mig.config import select
from ansible.module_utils.groundwork.gpu.mig.model import Card, Layout
from ansible.module_utils.groundwork.gpu.model import Failure

from tests.unit.module_utils.gpu.mig_cards import A30, card

# Entries of every form that nvidia-mig-parted's own examples have.
FILE = """
version: v1
mig-configs:
  whole: [{devices: all, mig-enabled: false}]
  empty: [{devices: all, mig-enabled: true, mig-devices: {}}]
  by-model:
    - device-filter: ["0x233010DE", "0x20B210DE"]
      devices: all
      mig-enabled: true
      mig-devices: {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}
    - device-filter: "0x20b710de"
      devices: all
      mig-enabled: true
      mig-devices: {"1g.6gb": 2, "2g.12gb": 1}
  by-number:
    - {devices: [0, 1], mig-enabled: false}
    - {devices: [2], mig-enabled: true, mig-devices: {"1g.10gb+me": 1, "7g.80gb": 0}}
  twice:
    - {devices: all, mig-enabled: true, mig-devices: {"7g.80gb": 1}}
    - {devices: [1], mig-enabled: false}
  maybe-twice:
    - {devices: all, device-filter: "0x233010DE", mig-enabled: true, mig-devices: {"7g.80gb": 1}}
    - {devices: [1], mig-enabled: false}
  all-1g.10gb: [{devices: all, mig-enabled: true, mig-devices: {"1g.10gb": 3}}]
"""


def choose(name: str, found: Card) -> Layout | None:
    return select(yaml.safe_load(FILE), name).layout(found)


BALANCED = Layout(True, (("1g.10gb", 2), ("2g.20gb", 1), ("3g.40gb", 1)))
A30_CARD = card(profiles=A30, device_id="0x20B710DE")
SILENT = Card(1, error=Failure("GpuIsLost", "GPU is lost", "Reboot."))


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("whole", card(), Layout(False)),
        ("empty", card(), Layout(True)),
        ("by-model", card(), BALANCED),
        ("by-model", A30_CARD, Layout(True, (("1g.6gb", 2), ("2g.12gb", 1)))),
        ("by-model", card(device_id="0x290110DE"), None),
        ("by-number", card(index=1), Layout(False)),
        ("by-number", card(index=2), Layout(True, (("1g.10gb+me", 1),))),
        ("by-number", card(index=3), None),
        ("all-1g.10gb", card(), Layout(True, (("1g.10gb", 3),))),
        # What cannot be partitioned is passed by, unless it is meant by its number.
        ("empty", card(None), None),
        ("whole", card(None), None),
        ("by-number", card(None, index=0), None),
        ("by-number", card(None, index=2), Layout(True, (("1g.10gb+me", 1),))),
        # One that does not answer may be of any model.
        ("empty", SILENT, Layout(True)),
        ("by-number", SILENT, Layout(False)),
        # Names that need no file.
        ("all-disabled", card(), Layout(False)),
        ("all-disabled", card(None), None),
        ("all-enabled", card(), Layout(True)),
        ("all-enabled", card(None), None),
        ("all-balanced", card(), BALANCED),
        ("all-balanced", A30_CARD, Layout(True, (("1g.6gb", 2), ("2g.12gb", 1)))),
        ("all-balanced", SILENT, Layout(True)),
        ("all-1g.10gb.me", card(), Layout(True, (("1g.10gb+me", 1),))),
        ("all-1g.20gb", card(), Layout(True, (("1g.20gb", 4),))),
        ("all-2g.12gb", A30_CARD, Layout(True, (("2g.12gb", 2),))),
    ],
)
def test_what_a_gpu_shall_be(name: str, found: Card, wanted: Layout | None) -> None:
    assert choose(name, found) == wanted


def test_two_entries_that_claim_one_gpu_are_refused() -> None:
    with pytest.raises(GroundworkError, match="layout twice: entries 1 and 2 name the same GPUs"):
        select(yaml.safe_load(FILE), "twice")
    assert choose("maybe-twice", card(index=0)) == Layout(True, (("7g.80gb", 1),))
    assert choose("maybe-twice", card(index=1, device_id="0x20B210DE")) == Layout(False)
    assert choose("maybe-twice", SILENT) == Layout(True, (("7g.80gb", 1),)), "it is asked for, whatever it is"
    with pytest.raises(GroundworkError, match=r"GPU 1 .*: 2 entries of layout maybe-twice claim it"):
        choose("maybe-twice", card(index=1))


A100, H200 = "0x20B210DE", "0x233510DE"


@pytest.mark.parametrize(
    ("one", "other", "twice"),
    [
        ({"devices": [0, 1]}, {"devices": [1, 2]}, True),
        ({"devices": [0, 1]}, {"devices": [2]}, False),
        ({"devices": "all"}, {"devices": [2]}, True),
        ({"devices": "all"}, {"devices": "all"}, True),
        ({"devices": "all", "device-filter": A100}, {"devices": "all", "device-filter": [H200]}, False),
        ({"devices": "all", "device-filter": A100}, {"devices": [0], "device-filter": [H200, "0x20b210de"]}, True),
        ({"devices": [0], "device-filter": A100}, {"devices": [1], "device-filter": A100}, False),
        # Whether such a host has an A100 at 0 is for its driver to say.
        ({"devices": [0], "device-filter": A100}, {"devices": [0]}, False),
    ],
)
def test_a_gpu_named_twice_is_refused_without_a_driver(one: Any, other: Any, twice: bool) -> None:
    """Even where both mean the same; a layout that is not selected is nobody's matter."""
    entries = [{**each, "mig-enabled": False} for each in (one, other)]
    config = {"version": "v1", "mig-configs": {"mine": entries}}
    assert select(config, "all-enabled").name == "all-enabled"
    if twice:
        with pytest.raises(GroundworkError, match="MIG layout mine: entries 1 and 2 name the same GPUs"):
            select(config, "mine")
    else:
        assert select(config, "mine").name == "mine"


STATION = """
version: v1
mig-configs:
  desk:
    - {device-filter: "0x233010DE", devices: [0], mig-enabled: false, mig-devices: {}}
    - {device-filter: "0x233010DE", devices: [1, 3], mig-enabled: true, mig-devices: {"3g.40gb": 2}}
    - {device-filter: "0x1FB010DE", devices: [2], mig-enabled: false}
  desk-by-model:
    - {device-filter: "0x233010DE", devices: all, mig-enabled: true, mig-devices: {"7g.80gb": 1}}
    - {device-filter: "0x1FB010DE", devices: all, mig-enabled: false}
"""


def test_a_host_of_several_models_is_laid_out_by_model_and_number() -> None:
    """A display card among them, as in NVIDIA's own workstations; numbers count all of the host's GPUs."""
    cards = (card(), card(index=1), card(None, index=2, device_id="0x1FB010DE"), card(index=3))
    for name, wanted in (
        ("desk", [Layout(False), Layout(True, (("3g.40gb", 2),)), None, Layout(True, (("3g.40gb", 2),))]),
        ("desk-by-model", [seven := Layout(True, (("7g.80gb", 1),)), seven, None, seven]),
    ):
        assert [select(yaml.safe_load(STATION), name).layout(each) for each in cards] == wanted


def test_a_name_without_a_file_means_profiles_that_the_gpu_has() -> None:
    with pytest.raises(GroundworkError, match=r"all-1g\.18gb does not fit, its profiles are 1g\.10gb, 1g\.10gb\+me"):
        choose("all-1g.18gb", card())


@pytest.mark.parametrize("name", ["", "all", "small", "all-1g", "all-10gb", "1g.10gb", "all-1g.10gb+me"])
def test_an_unknown_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(GroundworkError, match="There is no MIG layout") as refused:
        select(yaml.safe_load(FILE), name)
    assert "all-PROFILE such as all-1g.10gb, whole, empty, by-model" in refused.value.remedy


def entry(**fields: Any) -> dict[str, Any]:
    """A configuration of one entry, with faults."""
    made = {"devices": "all", "mig-enabled": True, **{key.replace("_", "-"): value for key, value in fields.items()}}
    return {"version": "v1", "mig-configs": {"mine": [{key: value for key, value in made.items() if value is not ...}]}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mig-configs": {}}, "are not `version: v1`"),
        ({"version": "v2", "mig-configs": {}}, "are not `version: v1`"),
        ({"version": "v1", "mig-configs": []}, "are not `version: v1`"),
        ({"version": "v1", "mig-configs": {}, "mig-config": {}}, "are not `version: v1`"),
        ({"version": "v1", "mig-configs": {"mine": {}}}, "MIG layout mine has no list of entries"),
        ({"version": "v1", "mig-configs": {"mine": []}}, "MIG layout mine has no list of entries"),
        ({"version": "v1", "mig-configs": {"mine": ["all"]}}, "MIG layout mine: an entry has devices and mig-enabled"),
        (entry(devices=...), "an entry has devices and mig-enabled"),
        (entry(mig_enabled=...), "an entry has devices and mig-enabled"),
        (entry(mig_device={}), "an entry has devices and mig-enabled"),
        (entry(devices="0"), "devices is all, or a list of the numbers of GPUs, and not 0"),
        (entry(devices=0), "devices is all, or a list of the numbers of GPUs, and not 0"),
        (entry(devices=["0"]), "devices is all, or a list"),
        (entry(devices=[0, 1, 0]), r"devices names a GPU twice: \[0, 1, 0\]"),
        (entry(mig_enabled="yes"), "mig-enabled is true or false"),
        (entry(mig_enabled=False, mig_devices={"1g.10gb": 1}), "which need it true"),
        (entry(mig_devices={"1g.10gb": "7"}), "1g.10gb needs a number of instances, and not 7"),
        (entry(mig_devices={"1g.10gb": -1}), "1g.10gb needs a number of instances, and not -1"),
        (entry(mig_devices={"1g.10gb": True}), "1g.10gb needs a number of instances, and not True"),
        (entry(mig_devices={"1c.2g.20gb": 2}), "1c.2g.20gb is a part of a GPU instance"),
        (entry(mig_devices=["1g.10gb"]), "mig-devices counts by profile"),
        (entry(device_filter="H100"), "MIG layout mine: .*H100"),
        (entry(device_filter=[1]), "MIG layout mine: "),
    ],
)
def test_a_malformed_configuration_is_refused_whatever_is_selected(config: dict[str, Any], message: str) -> None:
    with pytest.raises(GroundworkError, match=message) as refused:
        select(config, "all-disabled")
    assert "gpu_mig_config" in refused.value.remedy


def test_no_configuration_is_none() -> None:
    assert select({}, "all-disabled").layout(card()) == Layout(False)
