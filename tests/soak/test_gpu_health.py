"""A thousand runs of nvidia_gpu_verify's worker on healthy GPUs, programs' own Xids among them: no false alarm."""

from __future__ import annotations

from pathlib import Path

from lab import packages
from lab.doubles.nvidia import hardware
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root
from tests.contract.doubles.test_gpu_verify import H100
from tests.contract.doubles.verified_host import VerifiedHost, Worker

pytestmark = [needs_compiler, needs_root]
OF_PROGRAMS = (13, 31, 43, 45)
RUNS = 1000


def test_a_thousand_healthy_runs_raise_no_alarm(tmp_path: Path) -> None:
    driver = packages.driver_directory(packages.driver_versions()[0])
    with Worker(driver) as worker:
        host = VerifiedHost(Host(tmp_path, driver), worker)
        half = host.runs(RUNS // 2, **H100)
        for number in OF_PROGRAMS:
            host.log(hardware.xid(host.etc, 1, number))
        other = host.runs(RUNS // 2, **H100)
    assert [check for checks in [*half, *other] for check in checks if check["status"] != "ok"] == []
    names = [[check["name"] for check in checks] for checks in [*half, *other]]
    assert [set(names[0]).symmetric_difference(each) for each in names if each != names[0]] == []
    assert len(half) + len(other) == RUNS
