"""A burn-in on the lab's GPUs, which have no CUDA: it says so, and nobody is disturbed."""

from __future__ import annotations

import json

import pytest
from site_under_test import Site


@pytest.mark.soak
def test_what_can_be_run_without_cuda_is_and_the_rest_says_why(site: Site) -> None:
    run = site.play("-e", "gpu_burn_in_seconds=10", playbook="playbooks/operations/burn_in.yml")
    assert run.status == 0, run.tail
    assert sum(run.changed.values()) == 0
    report = json.loads((site.artifacts / "burn-in/report.json").read_text())
    [host] = report["hosts"].values()
    found = {check["name"].removeprefix("gpu_burn_in."): check for check in host["checks"]}
    assert "CUDA cannot be initialised" in found["cuda_initialises"]["observed"]
    assert found["results_are_right"]["status"] == "skipped"
    assert (found["all_reduce_across_pods"]["status"], found["all_reduce_across_gpus"]["status"]) == ("ok", "skipped")
    assert site.kubectl("get", "namespaces", "groundwork-burn-in", "--ignore-not-found") == ""
