"""Configurations of the device plugin: what they have a node offer, and what the plugin would not do as written."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.sharing import Sharing, check, select
from hypothesis import given
from hypothesis import strategies as st

GPU, SMALL = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
PLAIN = {"version": "v1", "flags": {"migStrategy": "mixed"}}
FOUR = {"name": GPU, "replicas": 4}


def sliced(*resources: Any, **slicing: Any) -> dict[str, Any]:
    return {**PLAIN, "sharing": {"timeSlicing": {"resources": list(resources), **slicing}}}


def configurations(**more: Any) -> dict[str, Any]:
    return {"default": PLAIN, **more}


def refusal(name: str = "shared", **more: Any) -> str:
    with pytest.raises(GroundworkError) as refused:
        select(configurations(**more), name)
    assert "gpu_device_plugin_configuration" in refused.value.remedy
    return refused.value.message


def test_without_sharing_everything_is_offered_once() -> None:
    assert select(configurations(), "default") == Sharing()
    assert Sharing().offered({GPU: ["GPU-a"], SMALL: ["MIG-a"]}) == {GPU: ["GPU-a"], SMALL: ["MIG-a"]}


@pytest.mark.parametrize(
    ("renamed", "offered"),
    [
        (True, {GPU: [], f"{GPU}.shared": ["GPU-a"] * 4 + ["GPU-b"] * 4, SMALL: ["MIG-a"]}),
        (False, {GPU: ["GPU-a"] * 4 + ["GPU-b"] * 4, SMALL: ["MIG-a"]}),
    ],
)
def test_a_shared_device_stands_as_often_as_it_is_offered(renamed: bool, offered: dict[str, list[str]]) -> None:
    found = select(configurations(shared=sliced(FOUR, renameByDefault=renamed)), "shared")
    assert found.offered({GPU: ["GPU-a", "GPU-b"], SMALL: ["MIG-a"]}) == offered


def strategy(name: str) -> dict[str, Any]:
    return {**PLAIN, "flags": {"migStrategy": name}}


def test_strategy_single_offers_mig_devices_as_gpus() -> None:
    found = select(configurations(one=strategy("single")), "one")
    assert found.offered({GPU: [], SMALL: ["MIG-a", "MIG-b"]}) == {GPU: ["MIG-a", "MIG-b"]}
    assert found.offered({GPU: ["GPU-a"]}) == {GPU: ["GPU-a"]}
    assert found.offered({GPU: []}) == {GPU: []}
    shared = {**sliced(FOUR, renameByDefault=True), "flags": {"migStrategy": "single"}}
    offered = select(configurations(one=shared), "one").offered({GPU: [], SMALL: ["MIG-a"]})
    assert offered == {GPU: [], f"{GPU}.shared": ["MIG-a"] * 4}


@pytest.mark.parametrize("more", [{GPU: ["GPU-a"]}, {"nvidia.com/mig-3g.40gb": ["MIG-b"]}])
def test_strategy_single_is_refused_where_the_plugin_would_not_start(more: dict[str, list[str]]) -> None:
    with pytest.raises(GroundworkError, match="offers one kind of device on a node, and here are nvidia") as refused:
        Sharing(single=True).offered({GPU: [], SMALL: ["MIG-a"], **more})
    assert "migStrategy mixed" in refused.value.remedy


def test_mig_devices_are_shared_by_their_profile() -> None:
    found = select(configurations(shared=sliced({"name": SMALL, "replicas": 2}, renameByDefault=True)), "shared")
    assert found.offered({GPU: ["GPU-a"], SMALL: ["MIG-a"], "nvidia.com/mig-3g.40gb": ["MIG-b"]}) == {
        GPU: ["GPU-a"],
        SMALL: [],
        f"{SMALL}.shared": ["MIG-a", "MIG-a"],
        "nvidia.com/mig-3g.40gb": ["MIG-b"],
    }


@given(st.integers(2, 64), st.booleans(), st.dictionaries(st.sampled_from([GPU, SMALL]), st.sets(st.uuids().map(str))))
def test_shares_are_of_what_there_is_and_of_nothing_else(replicas: int, renamed: bool, uuids: Any) -> None:
    resources = {name: sorted(found) for name, found in uuids.items()}
    offered = Sharing({GPU: replicas}, renamed).offered(resources)
    assert set().union(*offered.values()) == set().union(*resources.values())
    assert sum(map(len, offered.values())) == replicas * len(uuids.get(GPU, ())) + len(uuids.get(SMALL, ()))


@pytest.mark.parametrize(
    ("configuration", "fault"),
    [
        (sliced({"name": GPU, "replica": 4}), "resources.replica cannot be used: the plugin knows no such key"),
        (sliced({**FOUR, "rename": "nvidia.com/part"}), "resources.rename cannot be used: the plugin passes over it"),
        (sliced({**FOUR, "devices": [0]}), "resources.devices cannot be used: the plugin passes over it"),
        (sliced({"name": GPU, "replicas": 1}), "replicas of nvidia.com/gpu is a number from 2 on, and not 1"),
        (sliced({"name": GPU, "replicas": True}), "is a number from 2 on, and not True"),
        (sliced({"name": GPU, "replicas": "4"}), "is a number from 2 on, and not '4'"),
        (sliced({"replicas": 4}), "nvidia.com/gpu or nvidia.com/mig-PROFILE can be shared, and not None"),
        (sliced({"name": "gpu", "replicas": 4}), "can be shared, and not gpu"),
        (sliced({"name": f"{GPU}.shared", "replicas": 4}), "can be shared, and not nvidia.com/gpu.shared"),
        (sliced(FOUR, FOUR), "nvidia.com/gpu is shared twice"),
        (sliced(), "sharing.timeSlicing.resources is no list of resources"),
        (sliced("nvidia.com/gpu"), "sharing.timeSlicing.resources is no mapping, but 'nvidia.com/gpu'"),
        (sliced(FOUR, renameByDefault="yes"), "renameByDefault is true or false, and not 'yes'"),
        (sliced(FOUR, failRequests=True), "sharing.timeSlicing.failRequests cannot be used"),
        ({**PLAIN, "sharing": {"timeslicing": {"resources": [FOUR]}}}, "no such key (did you mean timeSlicing?)"),
        ({**PLAIN, "sharing": {"mps": {"resources": [FOUR]}}}, "sharing.mps cannot be used: its daemon"),
        ({**PLAIN, "sharing": []}, "sharing is no mapping, but []"),
        ({**PLAIN, "resources": {"gpus": []}}, "resources cannot be used: the plugin passes over it"),
        ({**PLAIN, "flags": {"plugin": {"deviceIdStrategy": "uuid"}}}, "did you mean deviceIDStrategy?"),
        ({**PLAIN, "flags": {"migStrategy": "none"}}, "flags.migStrategy is none; MIG devices are offered by"),
        ({"version": "v1"}, "flags.migStrategy is missing"),
        ({**PLAIN, "version": "v2"}, "version is v2, and the plugin knows v1"),
        ("version: v1", "it is no mapping, but 'version: v1'"),
    ],
)  # fmt: skip
def test_what_the_plugin_would_not_do_as_written_is_refused(configuration: Any, fault: str) -> None:
    message = refusal(shared=configuration)
    assert message.startswith("shared: ")
    assert fault in message
    (found,) = check(configurations(shared=configuration), "shared")
    assert (found.status, found.observed) == ("failed", message)


def test_all_faults_come_at_once() -> None:
    message = refusal("none", shared=sliced({"name": "gpu", "replicas": 1}), **{"not a label": PLAIN})
    assert message.count("; ") >= 3
    assert "there is no configuration none among default, shared, not a label" in message
    assert "not a label cannot be the name of a configuration" in message


def test_the_default_must_be_there() -> None:
    with pytest.raises(GroundworkError, match="there is no configuration default among shared"):
        select({"shared": PLAIN}, "shared")


def test_shares_by_the_name_of_whole_gpus_are_worth_a_look() -> None:
    found = check(configurations(shared=sliced(FOUR, failRequestsGreaterThanOne=True)), "shared")
    assert [each.status for each in found] == ["ok", "warning"]
    assert found[0].observed == "shared shares nvidia.com/gpu 4 times"
    assert "renameByDefault" in found[1].remedy
    renamed = configurations(shared=sliced(FOUR, renameByDefault=True))
    assert [each.status for name in renamed for each in check(renamed, name)] == ["ok"] * 4


def test_what_is_given_is_left_as_it_is() -> None:
    given_ = configurations(shared=sliced(FOUR, renameByDefault=True))
    before = copy.deepcopy(given_)
    check(given_, "shared")
    assert given_ == before
