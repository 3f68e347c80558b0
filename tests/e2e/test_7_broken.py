"""What is broken comes as data with its name, by the documented script and the command, and as an alert that ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import automation
import pods
import prometheus
import pytest
from site_under_test import ROOT, Lab, Site, await_that, changed_inventory


@pytest.fixture(scope="module")
def broken(site: Site, lab: Lab) -> Iterator[dict[str, str]]:
    """A GPU of n3 is lost, the other had an Xid, and a pod on n2 lost its device group; mended at the end."""
    pods.start(site, pods.pod("keeper", node="n2", resource="nvidia.com/gpu"))
    lab("fault", "device-cgroup", "n2", "default/keeper")
    lab("fault", "gpu-lost", "n3", "0")
    lab("fault", "gpu-xid", "n3", "1", "48")
    yield {"n2": "keeper", "n3": "0"}
    lab("fault", "clear")
    pods.delete(site, "keeper")


def proofs_that_stand(inventory: dict[str, Any]) -> None:
    """What did not change since the site proved it is not proved again."""
    inventory["all"]["vars"]["site_proofs"] = "changed"


def test_what_broke_comes_as_data_with_its_name(site: Site, broken: dict[str, str], tmp_path: Path) -> None:
    inventory = changed_inventory(site.lab, tmp_path, proofs_that_stand)
    status, found, progress = automation.play(site, "playbooks/verify.yml", tmp_path, inventory)
    assert (status, found["ok"]) == (1, False), progress
    told = {(fault["host"], fault["what"]) for fault in found["faults"]}
    assert set(broken) - {"n2"} <= {host for host, _ in told}, found
    assert any(broken["n2"] in check["observed"] for check in site.checks("failed")), site.checks("failed")
    assert {(check["host"], check["name"]) for check in site.checks("failed")} <= told
    assert all(fault["remedy"] for fault in found["faults"] if "." in fault["what"]), found

    status, report, _ = automation.said(tmp_path, automation.COMMAND, "report", site.lab.name, "--json")
    assert (status, report["ok"], report["cluster"]) == (1, False, site.lab.name)


def test_alerts_fire_for_a_lost_gpu_and_for_its_xid(site: Site, broken: dict[str, str]) -> None:
    names = {"GpuLost", "GpuXid"}
    await_that(lambda: {each["alertname"] for each in prometheus.firing(site, *names)} == names, 300, f"{names} fire")
    [lost] = prometheus.firing(site, "GpuLost")
    assert lost.items() >= {"Hostname": "n3", "gpu": broken["n3"], "severity": "critical"}.items()
    assert lost["UUID"].startswith("GPU-")
    rules = [rule for group in prometheus.of(site).ask("rules")["groups"] for rule in group["rules"]]
    pages = {rule["name"]: ROOT / rule["annotations"]["runbook"] for rule in rules}
    assert all(pages[name].exists() for name in names)


def test_what_was_mended_is_offered_again_and_the_alerts_end(site: Site, lab: Lab) -> None:
    """It is the last of those that have something broken."""
    lab("fault", "clear")
    prometheus.forget_xids(site, "n3")
    healed = site.play(playbook="playbooks/kubernetes_gpu.yml")
    assert healed.status == 0, healed.tail
    assert site.kubectl("get", "node", "n3", "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}") == "2"
    await_that(lambda: not prometheus.firing(site, "GpuLost", "GpuXid"), 240, "the alerts end")
