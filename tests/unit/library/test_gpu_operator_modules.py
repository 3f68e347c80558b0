"""The modules that take a GPU Operator away, as Ansible runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.microk8s.paths import Paths

from tests.unit.library.conftest import Module
from tests.unit.module_utils.gpu_operator.fake_operated import FakeOperated, operated, pod

Load = Callable[[str], Module]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, load: Load) -> tuple[Module, FakeOperated]:
    """The module with a cluster that has an operator and a pod with a GPU."""
    module, fake = load("kubernetes_gpu_operator"), FakeOperated([*operated(), pod("train-0")])
    monkeypatch.setattr(module.code, "Kubectl", lambda: fake)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return module, fake


def run(cluster: tuple[Module, FakeOperated], tmp_path: Path, **given: Any) -> dict[str, Any]:
    return cluster[0].run(keep=str(tmp_path / "kept.json"), **given)


def test_without_permission_it_fails_and_changes_nothing(cluster: tuple[Module, FakeOperated], tmp_path: Path) -> None:
    found = run(cluster, tmp_path)
    assert (found["failed"], found["changed"], cluster[1].log) == (True, False, [])
    assert "default/train-0 on n2 (nothing makes another)" in found["msg"]
    assert "gpu_operator_allow_disruption" in found["remedy"]


def test_check_mode_lists_the_pods_and_the_steps(cluster: tuple[Module, FakeOperated], tmp_path: Path) -> None:
    found = run(cluster, tmp_path, check=True)
    failed = [check["name"] for check in found["checks"] if check["status"] == "failed"]
    assert (found["changed"], cluster[1].log, failed) == (True, [], ["gpu_operator.no_gpu_pods_in_the_way"])
    assert [one["name"] for one in found["pods"]] == ["train-0"]
    assert found["actions"][-1] == "open node n2"
    assert "Helm release gpu-operator-resources/gpu-operator" in found["diff"]["before"]


def test_with_permission_the_operator_goes(cluster: tuple[Module, FakeOperated], tmp_path: Path) -> None:
    found = run(cluster, tmp_path, allow_disruption=True)
    assert (found["changed"], found["kept"], cluster[1].helm) == (True, True, [])
    assert run(cluster, tmp_path, allow_disruption=True)["changed"] is False


def test_files_go_from_a_host_and_check_mode_says_which(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, left = load("host_gpu_operator"), tmp_path / "run/nvidia/toolkit"
    monkeypatch.setattr(module.code, "Paths", lambda: Paths(tmp_path))
    left.mkdir(parents=True)
    told = module.run(check=True)
    assert (told["changed"], told["removed"], left.exists()) == (True, ["/run/nvidia/toolkit"], True)
    assert (module.run()["changed"], left.exists(), module.run()["changed"]) == (True, False, False)
