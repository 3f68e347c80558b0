"""The main job: killed once at a random task, run again, and judged as an outsider would judge it."""

from __future__ import annotations

import stat

import pytest
from kubernetes import client, config
from site_under_test import Report, Site


def test_site_yml_killed_at_a_random_task_is_finished_by_the_next_run(site: Site) -> None:
    assert not site.checks("failed")
    assert site.checks("ok")


def test_the_whole_site_proves_itself(site: Site, proved: Report) -> None:
    assert not proved.checks("failed")
    assert {"kubernetes_gpu.pods_see_their_gpu", "kubernetes_network.policy_blocks"} <= set(proved.proofs)
    page = (site.artifacts / "report.html").read_text()
    assert "GPU-" in page
    assert "src=" not in page, "the page needs nothing from outside"


def test_the_kubeconfig_is_private_and_works_from_outside(site: Site) -> None:
    path = site.artifacts / "kubeconfig"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    api = client.CoreV1Api(config.new_client_from_config(str(path)))
    gpus = {node.metadata.name: node.status.allocatable.get("nvidia.com/gpu", "0") for node in api.list_node().items}
    assert gpus == {"n1": "0", "n2": "2", "n3": "2"}


def test_anonymous_callers_get_nothing(site: Site) -> None:
    status = site.lab.shell("n2", "curl -sk -o /dev/null -w '%{http_code}' https://n1:16443/api/v1/secrets")
    assert status in ("401", "403")


@pytest.mark.soak
def test_check_mode_on_a_finished_site_reports_no_change(site: Site) -> None:
    run = site.play("--check", "--diff")
    assert run.status == 0, run.tail
    assert set(run.changed.values()) == {0}, run.tail
