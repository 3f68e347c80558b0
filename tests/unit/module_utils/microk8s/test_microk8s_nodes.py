"""Kubernetes nodes, as a host may see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.microk8s import nodes
from ansible.module_utils.groundwork.microk8s.nodes import Node, Nodes
from ansible.module_utils.groundwork.microk8s.paths import Paths

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.microk8s import texts


def item(name: str, ready: str = "True", *, worker: bool = False, cordoned: bool = False) -> dict[str, Any]:
    """A node as kubectl gives it, of what matters here."""
    part = "worker" if worker else "controlplane"
    labels = {"kubernetes.io/hostname": name, "microk8s.io/cluster": "true"}
    labels[f"node.kubernetes.io/microk8s-{part}"] = f"microk8s-{part}"
    reason = {"True": "KubeletReady", "False": "KubeletNotReady", "Unknown": "NodeStatusUnknown"}[ready]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "addresses": [
                {"address": f"10.77.0.1{name[-1]}", "type": "InternalIP"},
                {"address": name, "type": "Hostname"},
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                {"type": "Ready", "status": ready, "reason": reason, "message": "kubelet says"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.1", "containerRuntimeVersion": "containerd://2.2.3"},
        },
    }


def listed(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def test_a_ready_control_plane() -> None:
    (found,) = nodes.parse(listed(item("n1"))).nodes
    assert found == Node(
        name="n1",
        ready=True,
        schedulable=True,
        role="control_plane",
        internal_ip="10.77.0.11",
        kubelet_version="v1.36.1",
        container_runtime="containerd://2.2.3",
        reason="KubeletReady",
        message="kubelet says",
    )


def test_nodes_come_in_the_order_of_their_names() -> None:
    found = nodes.parse(listed(item("n3", worker=True), item("n1"), item("n2", worker=True)))
    assert [(node.name, node.role) for node in found.nodes] == [
        ("n1", "control_plane"),
        ("n2", "worker"),
        ("n3", "worker"),
    ]


@pytest.mark.parametrize(
    ("found", "ready", "schedulable"),
    [
        (item("n1"), True, True),
        (item("n1", "False"), False, True),
        (item("n1", "Unknown"), False, True),
        (item("n1", cordoned=True), True, False),
        ({"kind": "Node", "metadata": {"name": "new"}}, False, True),
    ],
)
def test_ready_is_the_condition_and_a_cordon_is_another_matter(
    found: dict[str, Any], ready: bool, schedulable: bool
) -> None:
    (node,) = nodes.parse(json.dumps(found)).nodes
    assert (node.ready, node.schedulable) == (ready, schedulable)


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (Output(0, texts.KUBECTL_WORKER), texts.KUBECTL_WORKER.strip()),
        (Output(1, "", "microk8s is not running, try microk8s start"), "microk8s is not running, try microk8s start"),
        (
            Output(1, "", "The connection to the server 127.0.0.1:16443 was refused - did you specify the right host?"),
            "The connection to the server 127.0.0.1:16443 was refused - did you specify the right host?",
        ),
        (Output(0), "kubectl said nothing"),
    ],
)
def test_anything_but_nodes_is_an_error_whatever_the_exit_code(output: Output, error: str) -> None:
    found = nodes.observe(Commands({"/snap/bin/microk8s kubectl": output}), Paths(), "control_plane", "n1", 5)
    assert found == Nodes(error=error)


def test_a_control_plane_is_asked_for_all_nodes_with_a_limit() -> None:
    commands = Commands({"/snap/bin/microk8s kubectl": Output(0, listed(item("n1")))})
    nodes.observe(commands, Paths(), "control_plane", "n1", 7.5)
    assert commands.asked == ["/snap/bin/microk8s kubectl get nodes -o json --request-timeout=7s"]


def test_a_worker_is_asked_for_its_own_node_with_the_kubelets_kubeconfig(tmp_path: Path) -> None:
    commands = Commands({f"{tmp_path}/snap/microk8s/current/kubectl": Output(0, json.dumps(item("n2", worker=True)))})
    found = nodes.observe(commands, Paths(tmp_path), "worker", "n2", 5)
    assert [node.name for node in found.nodes] == ["n2"]
    assert commands.asked[0].endswith(
        f"--kubeconfig {tmp_path}/var/snap/microk8s/current/credentials/kubelet.config "
        "get node n2 -o json --request-timeout=5s"
    )
