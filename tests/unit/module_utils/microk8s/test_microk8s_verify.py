"""Whether MicroK8s on a host is as it was declared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.microk8s import verify
from ansible.module_utils.groundwork.microk8s.certificates import Certificate
from ansible.module_utils.groundwork.microk8s.nodes import Node
from ansible.module_utils.groundwork.microk8s.observe import MicroK8s
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.microk8s.snap import Snap

NODE = Node("n1", True, True, "control_plane", "10.77.0.11", "v1.36.1", "containerd://2.2.3")
SNAP = Snap("v1.36.1", "9001", "1.36/stable", held=True, disabled=False, notes=("classic", "held"))
HEALTHY = MicroK8s(
    installed=True,
    snap=SNAP,
    running=True,
    role="control_plane",
    node=NODE,
    certificates=(Certificate("ca", "2036-11-20T10:00:00+00:00", 3649), Certificate("server", "2027-11-20", 364)),
)


def paths(root: Path, authorization: str = "RBAC,Node", dns: bool = True) -> Paths:
    found = Paths(root)
    (found.data / "args").mkdir(parents=True)
    (found.data / "args/kube-apiserver").write_text(f"--secure-port=16443\n--authorization-mode={authorization}\n")
    found.kubelet_arguments.write_text("--cluster-dns=10.152.183.10\n" if dns else "--cluster-domain=cluster.local\n")
    return found


def verdicts(found: MicroK8s, where: Paths) -> dict[str, str]:
    checks = verify.check(found, where, "1.36/stable")
    return {check.name.removeprefix("microk8s_node."): check.status for check in checks if check.status != "ok"}


def test_a_healthy_node(tmp_path: Path) -> None:
    assert verdicts(HEALTHY, paths(tmp_path)) == {}


def test_nothing_else_is_judged_where_it_is_not_installed(tmp_path: Path) -> None:
    assert verdicts(MicroK8s(installed=False), Paths(tmp_path)) == {"installed_and_held": "failed"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"snap": dataclasses.replace(SNAP, held=False)}, {"installed_and_held": "failed"}),
        ({"node": dataclasses.replace(NODE, ready=False, message="no CNI")}, {"ready": "failed"}),
        ({"node": None, "nodes_error": "connection refused"}, {"ready": "failed"}),
        ({"certificates": (Certificate("server", "2026-12-01", 10),)}, {"certificates": "warning"}),
        ({"certificates": (Certificate("server", "2026-11-20", -1),)}, {"certificates": "failed"}),
        ({"certificates": ()}, {"certificates": "failed"}),
    ],
)
def test_faults_are_named(tmp_path: Path, changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert verdicts(dataclasses.replace(HEALTHY, **changes), paths(tmp_path)) == expected


def test_access_for_everybody_is_a_fault_of_the_api_server_alone(tmp_path: Path) -> None:
    where = paths(tmp_path, authorization="AlwaysAllow")
    assert verdicts(HEALTHY, where) == {"role_based_access_control": "failed"}
    assert verdicts(dataclasses.replace(HEALTHY, role="worker"), where) == {}


def test_a_kubelet_without_dns(tmp_path: Path) -> None:
    assert verdicts(HEALTHY, paths(tmp_path, dns=False)) == {"cluster_dns": "failed"}
