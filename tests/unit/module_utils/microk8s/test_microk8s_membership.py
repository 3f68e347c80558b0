"""What a node is, by its lock files."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.microk8s import membership
from ansible.module_utils.groundwork.microk8s.membership import Membership
from ansible.module_utils.groundwork.microk8s.paths import Paths

from tests.unit.module_utils.microk8s.nodes_on_disk import installed


@pytest.mark.parametrize(
    ("locks", "wanted"),
    [
        ((), Membership("control_plane", False, False, False)),
        (("no-apiserver-proxy",), Membership("control_plane", False, False, False)),
        (("no-cert-reissue",), Membership("control_plane", True, False, False)),
        (("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"), Membership("worker", True, False, False)),
        (("clustered.lock",), Membership("worker", True, False, False)),
        (("join-in-progress",), Membership("control_plane", False, True, False)),
        (("join-in-progress", "no-cert-reissue"), Membership("control_plane", True, True, False)),
        (("stopped.lock",), Membership("control_plane", False, False, True)),
    ],
)
def test_locks_say_what_a_node_is(tmp_path: Path, locks: tuple[str, ...], wanted: Membership) -> None:
    assert membership.observe(installed(tmp_path, *locks)) == wanted


@pytest.mark.parametrize(
    ("kubelet", "hostname", "wanted"),
    [
        ("", "n1", "n1"),
        ("", "N1.Example.org", "n1.example.org"),
        ("--hostname-override=gpu-1", "n1", "gpu-1"),
        ('--hostname-override="GPU-1"', "n1", "gpu-1"),
        ("--hostname-override gpu-1", "n1", "gpu-1"),
        ("#--hostname-override=gpu-1", "n1", "n1"),
    ],
)
def test_the_name_of_the_node(tmp_path: Path, kubelet: str, hostname: str, wanted: str) -> None:
    assert membership.node_name(installed(tmp_path, kubelet=kubelet), hostname) == wanted


def test_without_files_the_host_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Host-7")
    assert membership.node_name(Paths(tmp_path)) == "host-7"
