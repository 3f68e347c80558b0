"""Whether MicroK8s can be installed on a host, or taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.microk8s import preflight
from ansible.module_utils.groundwork.microk8s.observe import MicroK8s
from ansible.module_utils.groundwork.microk8s.preflight import Surroundings
from ansible.module_utils.groundwork.microk8s.snap import Snap
from ansible.module_utils.groundwork.microk8s.status import Status

# /proc/net/tcp of Linux 6.1: sshd listens on 22, somebody on 10250; one connection of 16443 is not a listener.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0B004D0A:403B 0C004D0A:D431 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:61A8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""


def installed(channel: str | None = "1.36/stable", *addons: str) -> MicroK8s:
    snap = Snap("v1.36.1", "9001", channel, held=True, disabled=False, notes=("classic", "held"))
    return MicroK8s(installed=True, snap=snap, status=Status(running=True), addons_enabled=addons)


def failures(found: MicroK8s, around: Surroundings) -> list[str]:
    checks = preflight.check(found, around, "1.36/stable")
    assert len(checks) == 5
    assert all(check.remedy for check in checks if check.status == "failed")
    return [check.name.removeprefix("microk8s_node.") for check in checks if check.status == "failed"]


def test_a_bare_host(tmp_path: Path) -> None:
    assert preflight.observe(tmp_path) == Surroundings()


def test_what_others_left_is_seen(tmp_path: Path) -> None:
    for name, text in (("tcp", TCP), ("tcp6", TCP6)):
        (tmp_path / "proc/net").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc/net" / name).write_text(text)
    (tmp_path / "etc/rancher/k3s").mkdir(parents=True)
    (tmp_path / "var/lib/kubelet").mkdir(parents=True)
    assert preflight.observe(tmp_path) == Surroundings(("/etc/rancher/k3s",), True, (10250, 25000))


def test_microk8s_own_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "target").mkdir()
    (tmp_path / "var/lib/kubelet").symlink_to(tmp_path / "target")
    assert not preflight.observe(tmp_path).kubelet_directory_is_real


@pytest.mark.parametrize(
    ("found", "around", "names"),
    [
        (MicroK8s(installed=False), Surroundings(), []),
        (installed(), Surroundings(), []),
        (installed(None), Surroundings(), []),
        (installed("1.35/stable"), Surroundings(), ["channel"]),
        (MicroK8s(installed=False), Surroundings(ports_taken=(16443,)), ["ports_free"]),
        (installed(), Surroundings(ports_taken=preflight.PORTS), []),
        (MicroK8s(installed=False), Surroundings(("/snap/k8s",)), ["no_other_kubernetes"]),
        (MicroK8s(installed=False), Surroundings(kubelet_directory_is_real=True), ["kubelet_directory"]),
        (installed("1.36/stable", "dns", "nvidia"), Surroundings(), ["no_gpu_addon"]),
        (installed("1.36/stable", "gpu"), Surroundings(), ["no_gpu_addon"]),
    ],
)
def test_verdicts(found: MicroK8s, around: Surroundings, names: list[str]) -> None:
    assert failures(found, around) == names


def test_addons_that_cannot_be_read_yet_stop_nobody() -> None:
    found = replace(installed(), status=None)
    last = preflight.check(found, Surroundings(), "1.36/stable")[-1]
    assert (last.name, last.status) == ("microk8s_node.no_gpu_addon", "skipped")
