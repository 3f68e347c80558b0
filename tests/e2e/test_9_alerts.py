"""Alerts that take minutes: a GPU that hangs, and a node that is away."""

from __future__ import annotations

import prometheus
import pytest
from site_under_test import ROOT, Site, await_that

pytestmark = pytest.mark.soak


def test_what_hangs_or_is_away_is_named_until_it_is_back(site: Site) -> None:
    site.lab("fault", "gpu-hang", "n2", "0")

    def named() -> bool:
        up = {each["gpu"]: each["value"] for each in prometheus.query(site, 'groundwork_gpu_up{Hostname="n2"}')}
        warm = [each["gpu"] for each in prometheus.query(site, 'DCGM_FI_DEV_GPU_TEMP{Hostname="n2"}')]
        return up == {"0": "0", "1": "1"} and warm == ["1"]

    await_that(named, 120, "groundwork_gpu_up 0 for GPU 0 of n2 alone, and the temperature of GPU 1")
    site.lab("fault", "clear")
    site.lab("fault", "stop", "n2")
    names = ("NodeNotReady", "KubeletDown")
    await_that(
        lambda: {each["alertname"] for each in prometheus.firing(site, *names)} == set(names), 600, f"{names} fire"
    )
    alerts = {each["alertname"]: each for each in prometheus.firing(site, *names)}
    assert alerts["NodeNotReady"]["severity"] == "critical"
    assert alerts["KubeletDown"].items() >= {"node": "n2", "severity": "critical"}.items()
    rules = [rule for group in prometheus.of(site).ask("rules")["groups"] for rule in group["rules"]]
    assert all((ROOT / rule["annotations"]["runbook"]).exists() for rule in rules)

    site.lab("fault", "clear")
    await_that(lambda: not prometheus.firing(site, *names), 420, f"{names} end")
