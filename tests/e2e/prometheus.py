"""Prometheus as people outside have it: its URL, the password and the authority lie in the cluster's folder."""

from __future__ import annotations

from urllib.parse import urlsplit

import yaml
from ansible.module_utils.groundwork.prometheus.client import Client
from site_under_test import Site


def of(site: Site) -> Client:
    """A site's Prometheus."""
    known = yaml.safe_load((site.artifacts / "monitoring.yml").read_text())
    authority = (site.artifacts / "ca.crt").read_text()
    return Client(known["url"], str(urlsplit(known["url"]).hostname), authority, known["username"], known["password"])


def query(site: Site, expression: str) -> list[dict[str, str]]:
    """The labels of the series that Prometheus has for an expression, each with its `value`."""
    found = of(site).ask("query", query=expression)["result"]
    return [{**each["metric"], "value": each["value"][1]} for each in found]


def firing(site: Site, *names: str) -> list[dict[str, str]]:
    """The alerts of those names that fire, by their labels."""
    return [each for each in query(site, 'ALERTS{alertstate="firing"}') if each["alertname"] in names]


def forget_xids(site: Site, node: str) -> None:
    """End the node's GPU exporter, as runbooks say: the last Xid is told until then."""
    chosen = ["-l", "app.kubernetes.io/name=gpu-exporter", f"--field-selector=spec.nodeName={node}"]
    site.kubectl("delete", "pod", "-n", "monitoring", *chosen, timeout=120)
