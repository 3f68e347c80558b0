"""MicroK8s on a host, in one picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s.observe import PARTS, Datastore, MicroK8s, observe

from tests.unit.module_utils.fakes import Answer, Commands
from tests.unit.module_utils.microk8s import texts
from tests.unit.module_utils.microk8s.nodes_on_disk import installed
from tests.unit.module_utils.microk8s.test_microk8s_nodes import item, listed

KEYS = {
    "installed", "snap", "running", "role", "clustered", "join_in_progress", "stopped", "node_name", "node", "nodes",
    "nodes_error", "status", "datastore", "addons_enabled", "certificates",
}  # fmt: skip


@pytest.fixture(autouse=True)
def hostname(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "n1")


def commands(**answers: Answer) -> Commands:
    """A healthy control plane; answers replace its own."""
    table = {
        "list": Output(0, texts.LIST),
        "services": Output(0, texts.SERVICES),
        "status": Output(0, texts.STATUS),
        "kubectl": Output(0, listed(item("n1"), item("n2", worker=True))),
        **answers,
    }
    return Commands({
        "snap list": table["list"],
        "snap services": table["services"],
        "/snap/bin/microk8s status": table["status"],
        "/snap/bin/microk8s kubectl": table["kubectl"],
    })  # fmt: skip


def test_a_control_plane(tmp_path: Path) -> None:
    found = observe(commands(), installed(tmp_path, "no-cert-reissue"), PARTS, 5)
    assert (found.installed, found.running, found.role, found.clustered) == (True, True, "control_plane", True)
    assert found.node is not None
    assert (found.node.name, found.node.ready) == ("n1", True)
    assert [node.name for node in found.nodes] == ["n1", "n2"]
    assert found.datastore == Datastore(("10.77.0.11:19001",), (), ("10.77.0.12:19001",))
    assert found.addons_enabled == ("dns", "ha-cluster")


def test_the_return_shape_is_json_with_stable_keys(tmp_path: Path) -> None:
    shape = json.loads(json.dumps(observe(commands(), installed(tmp_path), PARTS, 5).to_dict()))
    assert set(shape) == KEYS
    assert set(shape["snap"]) >= {"version", "revision", "channel", "held"}
    assert set(shape["node"]) >= {"name", "ready", "schedulable", "role", "internal_ip", "reason", "message"}
    assert set(shape["datastore"]) == {"voters", "standbys", "spares"}


def test_a_host_without_it_has_the_same_keys() -> None:
    found = observe(Commands({}), installed, PARTS, 5)  # type: ignore[arg-type]  # nothing is looked up
    assert found == MicroK8s(installed=False)
    assert set(found.to_dict()) == KEYS


def test_only_what_is_asked_for_is_gathered(tmp_path: Path) -> None:
    asked = commands()
    found = observe(asked, installed(tmp_path), [], 5)
    assert asked.asked == ["snap list microk8s", "snap services microk8s"]
    assert (found.status, found.nodes, found.node, found.nodes_error) == (None, (), None, None)


def test_a_worker_knows_itself(tmp_path: Path) -> None:
    paths = installed(tmp_path, "clustered.lock", "no-cert-reissue")
    table = Commands({
        "snap list": Output(0, texts.LIST),
        "snap services": Output(0, texts.SERVICES),
        "/snap/bin/microk8s status": Output(0, texts.STATUS_WORKER),
        str(paths.kubectl): Output(0, json.dumps(item("n1", worker=True))),
    })  # fmt: skip
    found = observe(table, paths, ["nodes", "status"], 5)
    assert (found.role, found.clustered, found.running) == ("worker", True, True)
    assert found.node is not None
    assert found.node.ready
    assert found.status is not None
    assert (found.status.running, found.status.message) == (False, texts.STATUS_WORKER.strip())


@pytest.mark.parametrize(
    ("locks", "services", "running"),
    [
        ((), texts.SERVICES, True),
        (("stopped.lock",), texts.SERVICES, False),
        ((), texts.SERVICES_STOPPED, False),
        ((), "", False),
    ],
)
def test_running_is_an_active_kubelite_that_nobody_stopped(
    tmp_path: Path, locks: tuple[str, ...], services: str, running: bool
) -> None:
    found = observe(commands(services=Output(0, services)), installed(tmp_path, *locks), [], 5)
    assert found.running is running


def test_an_api_that_does_not_answer_is_told(tmp_path: Path) -> None:
    refused = Output(1, "", "The connection to the server 127.0.0.1:16443 was refused")
    found = observe(commands(kubectl=refused), installed(tmp_path), ["nodes"], 5)
    assert (found.node, found.nodes_error) == (None, "The connection to the server 127.0.0.1:16443 was refused")


def test_a_node_that_kubernetes_does_not_know_is_none(tmp_path: Path) -> None:
    found = observe(commands(kubectl=Output(0, listed(item("n9")))), installed(tmp_path), ["nodes"], 5)
    assert (found.node, found.nodes_error) == (None, None)


def test_a_snapd_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroundworkError, match="cannot communicate"):
        observe(commands(list=Output(1, "", texts.LIST_NO_DAEMON)), installed(tmp_path), PARTS, 5)
