"""The module of the burn-in, as Ansible runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from ansible.module_utils.groundwork.kubernetes.cluster import Object

from tests.unit.library.conftest import Module
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster, user_pod

Load = Callable[[str], Module]
NODES = {"n1": {"nvidia.com/gpu": ["GPU-0", "GPU-1"]}}


@pytest.fixture
def cluster(load: Load, monkeypatch: pytest.MonkeyPatch) -> tuple[Module, FakeCluster]:
    module, fake = (
        load("kubernetes_gpu_burn_in"),
        FakeCluster({"n1": ["GPU-0", "GPU-1"]}, [user_pod("n1", "train-0", 1)]),
    )
    monkeypatch.setattr(module.code, "Client", lambda *_: fake)
    return module, fake


def test_verdicts_and_measurements(cluster: tuple[Module, FakeCluster]) -> None:
    module, fake = cluster

    def answer(pod: str, words: Sequence[str]) -> Object:
        if list(words) == ["gpus"]:
            return {"gpus": [{"uuid": fake.held[pod]}]}
        return {"results": [], "reason": "CUDA cannot be initialised: no driver"}

    fake.answer = answer
    told = module.run(nodes=NODES, image="torch:1", seconds=20)
    assert not told["changed"]
    assert {check["name"].split(".")[1]: check["status"] for check in told["checks"]} == {
        "all_gpus_were_tested": "skipped",
        "cuda_initialises": "skipped",
        "results_are_right": "skipped",
        "as_fast_as_its_siblings": "skipped",
        "as_fast_as_its_product": "skipped",
        "all_reduce_across_pods": "skipped",
        "all_reduce_across_gpus": "skipped",
    }
    assert told["rows"] == []
    assert told["left"] == ["n1: 1 in use by default/train-0"]
    assert any(line == "ask gpu-n1-0 gpus --seconds 20" for line in fake.log)


def test_check_mode_says_what_would_be_run(cluster: tuple[Module, FakeCluster]) -> None:
    module, fake = cluster
    told = module.run(check=True, nodes=NODES, image="torch:1")
    assert (told["planned"], told["checks"]) == ({"gpu-n1-0": "n1"}, [])
    assert not any(line.startswith("create") for line in fake.log)
