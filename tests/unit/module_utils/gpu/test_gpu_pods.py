"""Which pod a process belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu import pods

UID = "9d4c8d6b-3e1f-4a9c-8b52-41b3a1f25d0e"
CGROUPFS = f"12:devices:/kubepods/besteffort/pod{UID}/5f3c8d6b\n0::/\n"
SYSTEMD = f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-5f3c8d6b.scope\n"
NESTED = f"0::/../../kubepods/burstable/pod{UID}\n"
STATIC = "0::/kubepods/pod0123456789abcdef0123456789abcdef/5f3c8d6b\n"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The kubelet's folder of logs, with another pod's beside."""
    for name in (f"team-a_train-0_{UID}", "team-b_other_00000000-0000-0000-0000-000000000000"):
        (tmp_path / "pods" / name).mkdir(parents=True)
    return tmp_path / "pods"


@pytest.mark.parametrize(
    ("groups", "pod"),
    [
        (CGROUPFS, "team-a/train-0"),
        (SYSTEMD, "team-a/train-0"),
        (NESTED, "team-a/train-0"),
        (STATIC, "0123456789abcdef0123456789abcdef"),
        ("0::/system.slice/ssh.service\n", None),
        ("0::/user.slice/pod-of-dolphins\n", None),
        ("", None),
    ],
)
def test_a_process_and_its_pod(tmp_path: Path, logs: Path, groups: str, pod: str | None) -> None:
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/cgroup").write_text(groups)
    assert pods.of(4711, tmp_path, logs) == pod


def test_a_process_that_ended(tmp_path: Path, logs: Path) -> None:
    assert pods.of(4711, tmp_path, logs) is None


def test_a_pod_whose_logs_are_gone_is_told_by_its_uid(tmp_path: Path) -> None:
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/cgroup").write_text(CGROUPFS)
    assert pods.of(4711, tmp_path, tmp_path / "nowhere") == UID
