"""Every module: arguments, check mode, errors with their remedy, and that what is documented is what there is."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import read
from ansible.module_utils.groundwork.gpu.model import Driver, Memory, Mig, MigDevice, Pair
from ansible.module_utils.groundwork.gpu.nvml import Nvml
from ansible.module_utils.groundwork.gpu.observe import Host, NvmlState
from ansible.module_utils.groundwork.microk8s.paths import Paths

from tests.unit.library.conftest import LIBRARY, Module
from tests.unit.module_utils.fakes import Commands, gpu_library
from tests.unit.module_utils.microk8s import texts
from tests.unit.module_utils.microk8s.nodes_on_disk import installed

Load = Callable[[str], Module]
NAMES = sorted(path.stem for path in LIBRARY.glob("*.py"))
READ_ONLY = [name for name in NAMES if name.endswith(("_info", "_verify", "_variables", "_report", "_access"))]


def documented(name: str, part: str) -> Any:
    """A YAML part of a module, read as ansible-doc does: without running it."""
    tree = ast.parse((LIBRARY / f"{name}.py").read_text())
    values = {node.targets[0].id: node.value.value for node in tree.body
              if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
              and isinstance(node.value, ast.Constant)}  # fmt: skip
    return yaml.safe_load(str(values[part]))


def argument_spec(load: Load, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The argument spec that a module gives to Ansible."""
    module = load(name)
    seen: dict[str, Any] = {}

    class StopError(Exception):
        """Enough was seen."""

    def stand_in(argument_spec: dict[str, Any], **options: object) -> None:
        seen.update(argument_spec=argument_spec, **options)
        raise StopError

    monkeypatch.setattr(module.code, "AnsibleModule", stand_in)
    with pytest.raises(StopError):
        module.code.main()
    assert seen["supports_check_mode"] is True
    found: dict[str, dict[str, Any]] = seen["argument_spec"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(load: Load, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = documented(name, "DOCUMENTATION")["options"] or {}
    spec = argument_spec(load, name, monkeypatch)
    assert set(options) == set(spec)
    for option, told in options.items():
        given = spec[option]
        for key, absent in (
            ("type", "str"),
            ("default", None),
            ("required", False),
            ("choices", None),
            ("elements", None),
        ):
            assert told.get(key, absent) == given.get(key, absent), (option, key)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_the_documentation_is_there(name: str) -> None:
    documentation = documented(name, "DOCUMENTATION")
    assert documentation["module"] == name
    assert documentation["short_description"]
    assert documentation["description"]
    assert documented(name, "RETURN")
    tasks = documented(name, "EXAMPLES")
    assert any(name in task for task in tasks)
    assert all(task["name"][0].isupper() for task in tasks)


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_options_that_exist(name: str) -> None:
    options = set(documented(name, "DOCUMENTATION")["options"] or {})
    for task in documented(name, "EXAMPLES"):
        assert set(task.get(name) or {}) <= options


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_thin(name: str) -> None:
    tree = ast.parse((LIBRARY / f"{name}.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    lines = sum((node.end_lineno or 0) - node.lineno + 1 for node in functions)
    assert lines <= 60


@pytest.mark.parametrize("name", READ_ONLY)
def test_what_only_looks_says_so(name: str) -> None:
    words = yaml.safe_dump(documented(name, "DOCUMENTATION"), width=10_000).lower()
    assert any(
        said in words for said in ("never changes", "nothing is changed", "never counts as a change", "never counts")
    )


def test_gpu_info_returns_the_host_as_it_is(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("nvidia_gpu_info")
    asked: list[float] = []

    def observe(seconds: float) -> Host:
        asked.append(seconds)
        return Host(Driver("580.126.09"), NvmlState(True), (), ())

    monkeypatch.setattr(module.code, "observe", observe)
    found = module.run(timeout_seconds=3)
    assert asked == [3.0]
    assert found["driver"]["version"] == "580.126.09"
    assert (found["changed"], found["gpus"]) == (False, [])


def sample_of(value: Any) -> Any:
    """The keys of a sample, down to those of its lists' elements."""
    if isinstance(value, dict):
        return {key: sample_of(each) for key, each in value.items()}
    return [sample_of(value[0])] if value and isinstance(value, list) and isinstance(value[0], dict) else None


def test_the_sample_of_a_gpu_has_every_field_that_there_is() -> None:
    """A sample is an H100 whose MIG mode is on, so that MIG devices show; retired pages are of older GPUs."""
    cut = Mig("enabled", "enabled", (MigDevice(0, "MIG-a", "H100 MIG 1g.10gb", "1g.10gb", 13, 0, Memory(1, 0, 1)),))
    process = SimpleNamespace(pid=4711, usedGpuMemory=512 << 20, gpuInstanceId=1, computeInstanceId=0)
    functions = {"DeviceGetComputeRunningProcesses": [process]}
    gpu = read.gpu(Nvml(gpu_library(**functions)), 0, Path("/nonexistent"))
    found = Host(
        Driver(), NvmlState(True), (dataclasses.replace(gpu, mig=cut),), (), (Pair((0, 1), "NODE", 18),)
    ).to_dict()
    documentation = documented("nvidia_gpu_info", "RETURN")
    assert sample_of(documentation["gpus"]["sample"]) == sample_of(found["gpus"])
    assert sample_of(documentation["topology"]["sample"]) == sample_of(found["topology"])
    assert sample_of(documentation["driver"]["sample"]) == sample_of(found["driver"])
    assert set(found) == set(documentation)


def test_microk8s_info_on_a_host_without_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("microk8s_info")
    monkeypatch.setattr(module.code, "run", Commands({}))
    found = module.run()
    assert (found["installed"], found["snap"], found["changed"]) == (False, None, False)


def test_microk8s_info_fails_with_the_remedy(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("microk8s_info")
    monkeypatch.setattr(module.code, "run", Commands({"snap list": Output(1, "", texts.LIST_NO_DAEMON)}))
    found = module.run()
    assert (found["failed"], found["changed"]) == (True, False)
    assert found["remedy"] == "See `systemctl status snapd`."
    assert found["msg"].endswith(found["remedy"])


def test_microk8s_info_refuses_parts_that_it_does_not_know(load: Load) -> None:
    assert "value of gather must be one or more of" in load("microk8s_info").run(gather=["everything"])["msg"]


def test_a_token_is_made(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("microk8s_token")
    monkeypatch.setattr(module.code, "run", Commands({"/snap/bin/microk8s add-node": Output(0, texts.ADD_NODE)}))
    found = module.run(address="10.77.0.11")
    assert (found["changed"], found["url"]) == (True, f"10.77.0.11:25000/{texts.JOIN_BY}")


def test_in_check_mode_no_token_is_made(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("microk8s_token")
    commands = Commands({})
    monkeypatch.setattr(module.code, "run", commands)
    found = module.run(check=True, address="10.77.0.11")
    assert (found["changed"], found["url"], commands.asked) == (True, None, [])


@pytest.mark.parametrize(("check", "change"), [(False, True), (True, False)])
def test_a_mig_layout_is_declared_and_in_check_mode_told(
    load: Load, monkeypatch: pytest.MonkeyPatch, check: bool, change: bool
) -> None:
    module = load("nvidia_mig")
    asked: dict[str, Any] = {}

    def declare(**given: Any) -> dict[str, Any]:
        asked.update(given)
        return {"changed": True}

    monkeypatch.setattr(module.code.declare, "declare", declare)
    assert module.run(check=check, selected="all-1g.10gb")["changed"] is True
    assert asked == {
        "selected": "all-1g.10gb",
        "config": {},
        "allow_disruption": False,
        "timeout_seconds": 60.0,
        "change": change,
    }


def test_a_mig_layout_that_is_nowhere_fails_with_the_remedy(load: Load) -> None:
    found = load("nvidia_mig").run(selected="small")
    assert (found["failed"], found["changed"]) == (True, False)
    assert "all-balanced" in found["remedy"]


@pytest.mark.parametrize(("state", "restore"), [("present", False), ("default", True)])
def test_settings_are_declared_and_told_as_understood(
    load: Load, monkeypatch: pytest.MonkeyPatch, state: str, restore: bool
) -> None:
    module = load("nvidia_gpu_settings")
    asked: list[Any] = []

    def declare(*given: Any, **more: Any) -> dict[str, Any]:
        asked.extend([*given, more])
        return {"changed": True}

    monkeypatch.setattr(module.code.declare, "declare", declare)
    by_gpu = [{"product": "*H100*", "locked_graphics_clocks_mhz": ["1410"]}]
    found = module.run(settings={"power_limit_watts": "500", "ecc": "no", "by_gpu": by_gpu}, only=["ecc"], state=state)
    assert found["changed"] is True
    assert asked[1:] == [False, 60.0, {"change": True, "only": ["ecc"], "restore": restore}]
    told = found["declaration"]
    assert (told["power_limit_watts"], told["ecc"], told["persistence_mode"]) == (500.0, False, None)
    assert told["by_gpu"][0]["locked_graphics_clocks_mhz"] == [1410]


@pytest.mark.parametrize(
    "settings", [{"power": 1}, {"by_gpu": [{"uuid": "GPU-1", "power": 1}]}, {"compute_mode": "shared"}]
)
def test_settings_that_do_not_exist_are_refused(load: Load, settings: dict[str, Any]) -> None:
    assert load("nvidia_gpu_settings").run(settings=settings)["failed"] is True


def test_a_boot_unit_is_written_and_in_check_mode_told(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load("gpu_boot_unit")
    monkeypatch.setattr(module.code, "ROOT", tmp_path)
    monkeypatch.setattr(module.code, "run", Commands({"systemctl": Output(0)}))
    told = module.run(check=True, name="settings", arguments={"settings": {}})
    assert told["actions"] == [f"{step} groundwork-gpu-settings.service" for step in ("write", "enable", "start")]
    assert list(tmp_path.iterdir()) == []
    assert module.run(name="settings", arguments={"settings": {}})["actions"] == told["actions"]
    unit = (tmp_path / "etc/systemd/system/groundwork-gpu-settings.service").read_text()
    assert "After=nvidia-persistenced.service groundwork-gpu-mig.service\n" in unit
    assert module.run(name="settings", state="absent")["actions"] == ["remove groundwork-gpu-settings.service"]


class Node:
    """A node on disk, and a module that works on it."""

    def __init__(self, load: Load, monkeypatch: pytest.MonkeyPatch, root: Path, *locks: str) -> None:
        self.paths = installed(root, *locks)
        self.commands = Commands({"snap changes": Output(0, texts.CHANGES_DONE), "/snap/bin/microk8s join": self.join})
        self.module = load("microk8s_member")
        monkeypatch.setattr(self.module.code, "Paths", lambda: self.paths)
        monkeypatch.setattr(self.module.code, "run", self.commands)

    def join(self) -> Output:
        for name in ("clustered.lock", "no-cert-reissue"):
            (self.paths.locks / name).touch()
        return Output(0, texts.JOINED_WORKER)


@pytest.fixture
def lone(load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(load, monkeypatch, tmp_path)


def test_a_worker_joins_once(lone: Node) -> None:
    first = lone.module.run(role="worker", url=f"10.77.0.11:25000/{texts.JOIN_BY}")
    assert (first["changed"], first["actions"]) == (True, ["join"])
    assert first["diff"] == {"before": "in no cluster\n", "after": "worker\n"}
    again = lone.module.run(role="worker")
    assert (again["changed"], again["actions"]) == (False, [])


def test_check_mode_tells_the_truth_and_joins_nothing(lone: Node) -> None:
    found = lone.module.run(check=True, role="worker")
    assert (found["changed"], found["actions"], lone.commands.asked) == (True, ["join"], [])


def test_a_join_without_a_url_fails_with_the_remedy(lone: Node) -> None:
    found = lone.module.run(role="worker")
    assert (found["failed"], found["changed"]) == (True, False)
    assert "microk8s_token" in found["remedy"]


def test_the_url_is_a_secret(lone: Node) -> None:
    url = f"10.77.0.11:25000/{texts.JOIN_BY}"
    found = lone.module.run(role="worker", url=url)
    assert found["invocation"]["module_args"]["url"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert texts.JOIN_BY not in json.dumps(found)


def test_leaving_what_one_is_not_in_changes_nothing(lone: Node) -> None:
    found = lone.module.run(state="absent")
    assert (found["changed"], found["diff"]["before"]) == (False, "in no cluster\n")


PROOFS: dict[str, dict[str, Any]] = {
    "kubernetes_gpu_verify": {"nodes": {"n2": {"nvidia.com/gpu": ["GPU-a"]}}},
    "kubernetes_network_verify": {"nodes": ["n2"]},
    "kubernetes_storage_verify": {"nodes": ["n2"], "storage_class": "local"},
}


@pytest.mark.parametrize("name", PROOFS)
@pytest.mark.parametrize(
    ("proofs", "check", "runs"), [("always", False, 1), ("changed", False, 1), ("never", False, 0), ("always", True, 0)]
)
def test_pods_run_neither_unasked_nor_in_check_mode(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str, proofs: str, check: bool, runs: int
) -> None:
    module = load(name)
    seen: list[Any] = []

    def prove(_cluster: object, _wanted: object, waiter: Any) -> list[Check]:
        seen.append(waiter.seconds)
        return [Check("a.b", "failed", "a", "b", "c")]

    monkeypatch.setattr(module.code, "Client", lambda *_: None)
    monkeypatch.setattr(module.code, "prove", prove)
    monkeypatch.setattr(module.code, "compare", lambda *_: [], raising=False)
    found = module.run(check=check, **PROOFS[name], proofs=proofs, timeout_seconds=7)
    assert seen == [7.0] * runs
    assert (found["changed"], found.get("failed", False)) == (False, False)
    assert {verdict["status"] for verdict in found["checks"]} == {"failed" if runs else "skipped"}


@pytest.mark.parametrize("check", [False, True])
def test_a_plugin_started_again_is_a_change_and_shown(load: Load, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    module = load("kubernetes_gpu_offer")
    stale = [module.code.offer.Offer("n3", "n3", 1, 2, 2, "plugin-x", ready=True)]
    healed = [each.healed() for each in stale]
    monkeypatch.setattr(module.code, "Client", lambda *_: None)
    monkeypatch.setattr(module.code.offer, "offers", lambda *_: stale)
    monkeypatch.setattr(module.code.offer, "settle", lambda *_: (["n3"], healed))
    found = module.run(
        check=check, nodes={"n3": {"nvidia.com/gpu": ["GPU-a", "GPU-b"]}}, namespace="x", daemonset="plugin"
    )
    assert (found["changed"], found["restarted"]) == (True, ["n3"])
    assert found["diff"] == {"before": "n3 offers 1 of 2 GPUs\n", "after": "n3 offers 2 of 2 GPUs\n"}


def test_a_configuration_that_is_wrong_is_a_verdict_in_preflight_and_a_failure_later(load: Load) -> None:
    module = load("kubernetes_gpu_sharing_info")
    right, resources = {"flags": {"migStrategy": "mixed"}}, {"nvidia.com/gpu": ["GPU-a"]}
    wrong = {**right, "sharin": {}}
    found = module.run(configurations={"default": wrong}, selected="default")
    assert ([check["status"] for check in found["checks"]], found["offered"]) == (["failed"], {})
    later = module.run(configurations={"default": wrong}, selected="default", resources=resources)
    assert (later["failed"], "sharing" in later["msg"]) == (True, True)
    found = module.run(configurations={"default": right}, selected="default", resources=resources)
    assert found["offered"] == resources


def test_a_mount_point_is_made_and_protected_once(load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, point, done = load("mount_point"), tmp_path / "srv/shared", []
    monkeypatch.setattr(module.code.mounts, "is_protected", lambda path: path in done)
    monkeypatch.setattr(module.code.mounts, "protect", lambda path, _wanted: done.append(path))
    assert module.run(check=True, path=str(point))["changed"] is True
    assert not point.exists()
    assert [module.run(path=str(point))["changed"] for _ in range(2)] == [True, False]
    assert done == [point]


def test_a_filesystem_that_protects_nothing_is_no_change(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load("mount_point")
    monkeypatch.setattr(module.code.mounts, "is_protected", lambda _: None)
    found = module.run(path=str(tmp_path))
    assert (found["changed"], found["protected"]) == (False, None)


def test_a_probe_of_nothing_says_so(load: Load, tmp_path: Path) -> None:
    found = load("shared_filesystem_probe").run(path=str(tmp_path), stage="begin", host="n1")
    assert (found["changed"], found["mount"], found["word"]) == (False, None, "")
    assert [(check["name"], check["status"]) for check in found["checks"]] == [
        ("shared_storage.path_is_mounted", "failed")
    ]


def test_an_nfs_server_that_is_not_there_is_a_failed_check(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("nfs_server_verify")
    monkeypatch.setattr(module.code.nfs, "PORT", 1)
    (found,) = module.run(server="127.0.0.1", check_name="shared_storage.server_answers")["checks"]
    assert (found["name"], found["status"]) == ("shared_storage.server_answers", "failed")


@pytest.mark.parametrize("name", ["kubernetes_network_verify", "kubernetes_storage_verify"])
def test_without_nodes_there_is_nothing_to_prove(load: Load, name: str) -> None:
    assert load(name).run(**PROOFS[name] | {"nodes": []})["checks"] == []


@pytest.mark.parametrize("name", PROOFS)
def test_a_cluster_that_cannot_be_reached_fails_with_the_remedy(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module = load(name)

    def client(*_arguments: object) -> None:
        raise GroundworkError("No cluster", "Run on the admin host.")

    monkeypatch.setattr(module.code, "Client", client)
    found = module.run(**PROOFS[name])
    assert (found["failed"], found["remedy"], found["msg"]) == (
        True, "Run on the admin host.", "No cluster. Run on the admin host.",
    )  # fmt: skip


def test_misspelled_variables_are_returned_with_a_verdict(load: Load) -> None:
    found = load("site_variables").run(
        variables=["gpu_driver_brunch", "x"], known=["gpu_driver_branch"], roles=["gpu_driver"]
    )
    assert found["unknown"] == [{"name": "gpu_driver_brunch", "nearest": "gpu_driver_branch", "renamed": False}]
    assert found["checks"][0]["status"] == "failed"


def test_a_report_is_written_and_is_no_change(load: Load, tmp_path: Path) -> None:
    check = Check("a.b", "warning", "x", "y", "z").to_dict()
    given: dict[str, Any] = {"directory": str(tmp_path / "lab"), "cluster": "lab", "hosts": {"n1": {"checks": [check]}}}
    first, again = load("site_report").run(**given), load("site_report").run(**given)
    assert (first["changed"], first["is_news"], again["is_news"]) == (False, True, False)
    assert (first["ok"], first["status"], first["counts"]["warning"]) == (True, "warning", 1)
    assert Path(first["html"]).read_text().startswith("<!doctype html>")
    assert json.loads(Path(first["json"]).read_text())["cluster"] == "lab"


def test_in_check_mode_no_report_is_written(load: Load, tmp_path: Path) -> None:
    found = load("site_report").run(check=True, directory=str(tmp_path / "lab"), cluster="lab", hosts={})
    assert (found["is_news"], found["ok"], list(tmp_path.iterdir())) == (None, True, [])


def test_what_is_no_check_fails_with_the_remedy(load: Load, tmp_path: Path) -> None:
    hosts = {"n1": {"checks": [{"name": "a.b", "status": "fine"}]}}
    found = load("site_report").run(directory=str(tmp_path), cluster="lab", hosts=hosts)
    assert (found["failed"], "Give it name, status" in found["remedy"]) == (True, True)


def test_a_host_without_containers_is_skipped(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("container_gpu_access")
    monkeypatch.setattr(module.code.containers, "observe", list)
    found = module.run()
    assert (found["containers"], found["checks"][0]["status"]) == ([], "skipped")


def test_paths_are_microk8s(load: Load) -> None:
    assert load("microk8s_member").code.Paths() == Paths(Path("/"))
