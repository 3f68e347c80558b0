"""The modules about a site's inventory and mirrors, and about any host, as Ansible runs them."""

from __future__ import annotations

import dataclasses
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.host import observe

from tests.unit.library.conftest import Module
from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.host.test_preflight import GOOD
from tests.unit.module_utils.host.test_venv import Machine

Load = Callable[[str], Module]
GROUPS = {"control_plane": ["n1"], "workers": ["n2"], "gpu_nodes": ["n2"]}
SPACE: dict[str, Any] = {
    "minimum_memory_mib": 3500,
    "minimum_disk_mib": 20_480,
    "disk": "/var/snap",
    "clock_tolerance_seconds": 60,
    "time": 1010,
    "names": {"n1": "n1", "n2": "n2"},
}


def faults(told: dict[str, Any]) -> dict[str, str]:
    """What was observed, by the name of each check that is not ok or skipped."""
    return {check["name"]: check["observed"] for check in told["checks"] if check["status"] in ("failed", "warning")}


def inventory(load: Load, **given: Any) -> dict[str, str]:
    whole = {"groups": GROUPS, "addresses": {"n1": "10.0.0.1", "n2": "10.0.0.2"}, "chosen": ["n1", "n2"], **given}
    return faults(load("site_inventory").run(**whole))


def test_ansibles_own_groups_are_no_misspelled_ones_of_ours(load: Load) -> None:
    own = {"all": ["n1", "n2"], "ungrouped": []}
    assert inventory(load, groups={**GROUPS, **own, "rack_7": ["n2"]}) == {}
    assert inventory(load, groups={**GROUPS, **own, "gpu-node": ["n2"]}) == {
        "site.groups_are_known": "a group gpu-node"
    }


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_host_without_an_address_is_reached_by_its_name(load: Load, nothing: str | None) -> None:
    """Two hosts that both have none are no two names of one machine; one named as another's address is."""
    assert inventory(load, addresses={"n1": nothing, "n2": nothing}) == {}
    assert inventory(load, addresses={"n1": nothing, "n2": "n1"}) == {
        "site.addresses_are_unique": "n1 and n2 are both n1"
    }


def test_a_limit_that_leaves_the_control_plane_out_is_told(load: Load) -> None:
    assert list(inventory(load, chosen=["n2"])) == ["site.control_plane_in_run"]


@pytest.fixture
def mirror() -> Iterator[str]:
    """A mirror whose registry wants a login, and which lacks one folder."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/v2/": 401, "/gone/": 404}.get(self.path, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_mirror_that_wants_a_login_is_there_and_one_that_lacks_its_folder_is_not(load: Load, mirror: str) -> None:
    given = {
        "site_mirror_docker_io_url": f"{mirror}/v2/",
        "site_mirror_pypi_url": f"{mirror}/gone/",
        "site_mirror_apt_url": f"{mirror}/debian/",
        "site_mirror_helm_url": "",
    }
    told = load("site_mirrors").run(mirrors=given, timeout_seconds=10)
    assert {check["name"]: check["status"] for check in told["checks"]} == {
        "site.mirror_docker_io_answers": "ok",
        "site.mirror_pypi_answers": "failed",
        "site.mirror_apt_answers": "ok",
        "site.mirror_helm_answers": "skipped",
    }
    assert faults(told)["site.mirror_pypi_answers"] == f"{mirror}/gone/: HTTP 404 Not Found"


def test_a_file_of_the_host_is_no_mirror(load: Load, tmp_path: Path) -> None:
    told = load("site_mirrors").run(mirrors={"site_mirror_pypi_url": tmp_path.as_uri()})
    assert list(faults(told)) == ["site.mirror_pypi_answers"]


@pytest.mark.parametrize("module", ["host_info", "host_preflight"])
def test_the_disk_that_is_asked_about_is_the_one_that_is_given(
    load: Load, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    asked: list[Path] = []

    def look(disk: Path) -> observe.Host:
        asked.append(disk)
        return GOOD

    found = load(module)
    monkeypatch.setattr(observe, "observe", look)
    if module == "host_info":
        monkeypatch.setattr(found.code, "observe", look)
        assert found.run(disk="/data")["host"] == GOOD.to_dict()
    else:
        assert faults(found.run(**{**SPACE, "disk": "/data"}, installed="/none")) == {}
    assert asked == [Path("/data")]


def test_a_node_that_fills_its_own_disk_can_be_run_again(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a fresh host lacks is refused before anything is installed; a node's own images are no reason to stop."""
    full = dataclasses.replace(GOOD, disk_free_mib=900)
    monkeypatch.setattr(observe, "observe", lambda _disk: full)
    fresh = load("host_preflight").run(**SPACE, installed=str(tmp_path / "microk8s"))
    assert list(faults(fresh)) == ["host_base.disk_is_enough"]
    (tmp_path / "microk8s").mkdir()
    node = load("host_preflight").run(**SPACE, installed=str(tmp_path / "microk8s"))
    assert "failed" not in {check["status"] for check in node["checks"]}


def verified(load: Load, **given: Any) -> dict[str, str]:
    whole = {
        "addresses": {"localhost": "127.0.0.1"},
        "kernel_settings": {"kernel.ostype": platform.system()},
        "venv": sys.prefix,
        "imports": ["yaml", "json"],
    }
    return faults(load("host_verify").run(**{**whole, **given}))


def test_this_host_is_asked_and_its_values_are_compared_as_text(load: Load) -> None:
    limit = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert verified(load, kernel_settings={"kernel.pid_max": limit, "kernel.ostype": platform.system()}) == {}
    assert verified(load, kernel_settings={"kernel.pid_max": limit + 1}) == {
        "host_base.kernel_settings_hold": f"kernel.pid_max = {limit}"
    }
    assert verified(load, kernel_settings={"kernel.no_such_setting": 1}) == {
        "host_base.kernel_settings_hold": "kernel.no_such_setting = None"
    }


def test_a_package_that_an_environment_lacks_and_one_that_is_not_there_are_told(load: Load, tmp_path: Path) -> None:
    lacks = verified(load, imports=["json", "no_such_package"])
    assert lacks == {"host_base.venv_works": "ModuleNotFoundError: No module named 'no_such_package'"}
    assert "No such file" in verified(load, venv=str(tmp_path))["host_base.venv_works"]


def test_a_name_that_leads_elsewhere_is_told_with_both_addresses(load: Load) -> None:
    assert verified(load, addresses={"localhost": "10.0.0.9"}) == {
        "host_base.names_resolve": "localhost is 127.0.0.1, not 10.0.0.9"
    }


def test_an_environment_is_made_once_and_in_check_mode_told(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine, module = Machine(tmp_path / "venv"), load("host_venv")
    monkeypatch.setattr(module.code, "run", machine)
    given: dict[str, Any] = {"path": str(machine.path), "requirements": "six==1.17.0 --hash=sha256:0\n"}
    would = module.run(check=True, **given)
    assert (would["changed"], machine.path.exists()) == (True, False)
    done = module.run(**given)
    assert (done["changed"], done["actions"], done["diff"]) == (True, would["actions"], would["diff"])
    again = module.run(**given)
    assert (again["changed"], again["actions"], again["diff"]["before"]) == (False, [], again["diff"]["after"])


def test_an_environment_that_pip_cannot_fill_fails_claims_nothing_and_is_finished_later(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine, module = (
        Machine(tmp_path / "venv", pip=Output(1, "", "ERROR: No matching distribution")),
        load("host_venv"),
    )
    monkeypatch.setattr(module.code, "run", machine)
    given: dict[str, Any] = {
        "path": str(machine.path),
        "requirements": "six==1.17.0\n",
        "index_url": "http://mirror.lab/simple",
    }
    told = module.run(**given)
    assert (told["failed"], told["changed"]) == (True, False)
    assert "from http://mirror.lab/simple: ERROR: No matching distribution" in told["msg"]
    assert "site_mirror_pypi_url" in told["remedy"]
    machine.pip = Output(0)
    assert module.run(**given)["changed"] is True


@pytest.mark.parametrize("name", ["microk8s_preflight", "microk8s_verify"])
def test_microk8s_is_judged_where_it_is_not_there(load: Load, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Before it is installed there is nothing in the way; afterwards that it is missing is the one fault."""
    module = load(name)
    monkeypatch.setattr(
        module.code, "run", Commands({"snap list": Output(1, "", "error: no matching snaps installed\n")})
    )
    told = module.run(channel="1.35/stable")
    assert list(faults(told)) == (["microk8s_node.installed_and_held"] if name.endswith("verify") else [])
