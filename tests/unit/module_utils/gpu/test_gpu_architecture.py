"""Which kernel modules drive a GPU, by its PCI id."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.gpu import architecture
from ansible.module_utils.groundwork.gpu.architecture import Modules
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.gpu.driver_hosts import gpu

OLD, EITHER, NEW = ("proprietary",), ("open", "proprietary"), ("open",)

# Ids and names out of pci.ids 2026.08.22, vendor 10de; what drives them, out of NVIDIA's guide.
GPUS = [
    ("102d", "GK210GL [Tesla K80]", ()),
    ("1340", "GM108M [GeForce 830M]", OLD),
    ("15f8", "GP100GL [Tesla P100 PCIe 16GB]", OLD),
    ("1b38", "GP102GL [Tesla P40]", OLD),
    ("1db4", "GV100GL [Tesla V100 PCIe 16GB]", OLD),
    ("1df6", "GV100GL [Tesla V100S PCIe 32GB]", OLD),
    ("1e02", "TU102 [TITAN RTX]", EITHER),
    ("1eb8", "TU104GL [Tesla T4]", EITHER),
    ("20b2", "GA100 [A100 SXM4 80GB]", EITHER),
    ("2330", "GH100 [H100 SXM5 80GB]", EITHER),
    ("2335", "GH100 [H200 SXM 141GB]", EITHER),
    ("2342", "GH100 [GH200 120GB / 480GB]", NEW),
    ("2348", "GH100 [GH200 144G HBM3e]", NEW),
    ("26b9", "AD102GL [L40S]", EITHER),
    ("28f8", "AD107GLM [RTX 2000 Ada Generation Embedded GPU]", EITHER),
    ("2901", "GB100 [B200]", NEW),
    ("2941", "GB100 [HGX GB200]", NEW),
    ("2B85", "GB202 [GeForce RTX 5090]", NEW),
    ("2bb5", "GB202GL [RTX PRO 6000 Blackwell Server Edition]", NEW),
    ("3182", "GB110 [B300 SXM6 AC]", NEW),
]


@pytest.mark.parametrize(("device_id", "name", "modules"), GPUS, ids=lambda value: str(value))
def test_modules_of_a_gpu(device_id: str, name: str, modules: tuple[str, ...]) -> None:
    assert architecture.of(device_id).modules == modules, name


@pytest.mark.parametrize(
    ("ids", "modules", "branch", "reasons"),
    [
        (["2330", "20b2"], "open", 580, []),
        (["2330"], "proprietary", 595, []),
        (["2901"], "proprietary", 580, ["10de:2901: Blackwell or newer is driven by the open modules alone"]),
        (["1db6"], "proprietary", 580, []),
        (["1db6"], "open", 580, ["10de:1db6: Maxwell, Pascal or Volta is driven by the proprietary modules alone"]),
        (["1db6"], "proprietary", 590, ["10de:1db6: R580 is the last branch for Maxwell, Pascal or Volta"]),
        (["102d"], "proprietary", 580, ["10de:102d: R470 is the last branch for Kepler or older"]),
        (["102d"], "proprietary", 470, ["10de:102d: Kepler or older is driven by no modules of today"]),
        ([], "open", 580, []),
    ],
)  # fmt: skip
def test_what_is_not_driven_is_named(ids: list[str], modules: Modules, branch: int, reasons: list[str]) -> None:
    found = architecture.not_driven([gpu(one) for one in ids], modules, branch)
    assert [one.removeprefix("0000:1b:00.0 ") for one in found] == reasons


@pytest.mark.parametrize(
    ("ids", "refused"),
    [(["1db6", "2901"], True), (["1db6", "1eb8"], False), (["2901", "2330"], False), (["1db6"], False), ([], False)],
)
def test_only_gpus_that_need_different_modules_cannot_share_a_host(ids: list[str], refused: bool) -> None:
    assert architecture.cannot_share_a_host([gpu(one) for one in ids]) is refused


@given(st.lists(st.sampled_from([one for one, _, _ in GPUS]), max_size=4))
def test_what_is_chosen_drives_all_wherever_anything_does(ids: list[str]) -> None:
    gpus = [gpu(one) for one in ids]
    modules = architecture.choose("auto", gpus)
    others = [kind for kind in architecture.EITHER if not architecture.not_driven(gpus, kind, 580)]
    assert not others or modules in others
