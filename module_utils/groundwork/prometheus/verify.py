"""Whether everything is measured: judged by Prometheus's own words, of targets, series and rules."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped, warning
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.prometheus.client import REMEDY, Prometheus

UNAUTHORIZED = 401
NAMES = (
    "entrance_answers",
    "asks_who_is_there",
    "targets_are_up",
    "gpus_are_measured",
    "rules_evaluate",
    "no_alert_fires",
)
"""The checks beside `answers`, in their order."""
GPUS = "group by (node, UUID) (DCGM_FI_DEV_GPU_TEMP)"
"""Both GPU exporters tell every GPU's temperature, partitioned or not."""


@dataclass(frozen=True)
class Wanted:
    """The cluster's nodes, and the UUIDs of GPUs that NVML tells on each."""

    nodes: Sequence[str]
    gpus: Mapping[str, Sequence[str]]


def verify(prometheus: Prometheus, wanted: Wanted) -> list[Check]:
    """All checks; where Prometheus does not answer, one failed and the others skipped."""
    try:
        version = prometheus.ask("status/buildinfo")["version"]
        targets = prometheus.ask("targets", state="active")["activeTargets"]
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return [
            ok("monitoring.answers", f"Prometheus {version}"),
            entrance_answers(prometheus, entrances(prometheus, targets)),
            asks_who_is_there(prometheus, targets),
            targets_are_up(targets, wanted),
            gpus_are_measured(prometheus.ask("query", query=GPUS)["result"], wanted),
            rules_evaluate(rules),
            no_alert_fires(rules),
        ]
    except GroundworkError as error:
        return unanswered(error)


def unanswered(error: GroundworkError) -> list[Check]:
    """The checks where Prometheus cannot be asked."""
    first = failed("monitoring.answers", error.message, "Prometheus answers", error.remedy or REMEDY)
    return [first, *(skipped(f"monitoring.{name}", "Prometheus does not answer") for name in NAMES)]


def entrances(prometheus: Prometheus, targets: Iterable[Mapping[str, Any]]) -> list[str]:
    """The URLs by which Prometheus is reached from outside: the port of its Service on every node's address."""
    nodes = [target["scrapeUrl"] for target in targets if target["labels"].get("job") == "node-exporter"]
    port = prometheus.entrance_port
    addresses = [urllib.parse.urlsplit(url).netloc.rpartition(":")[0] for url in nodes]
    return [f"https://{address}:{port}" for address in addresses] if port else []


def entrance_answers(prometheus: Prometheus, urls: Sequence[str]) -> Check:
    """Each node leads people to Prometheus, whose certificate names that address, and who asks for the password."""
    if not urls:
        return skipped("monitoring.entrance_answers", "Prometheus has no entrance from outside")
    faults = []
    for url in urls:
        try:
            status = prometheus.status_for_strangers(f"{url}/api/v1/query?query=up")
            faults += [f"{url} answers {status}"] if status != UNAUTHORIZED else []
        except GroundworkError as error:
            faults.append(error.message)
    return judge(
        "monitoring.entrance_answers",
        not faults,
        "; ".join(faults) or f"{urls[0]}, and on {len(urls)} nodes",
        "every node's address leads to Prometheus, encrypted, and asks for the password",
        "Look for a firewall in the port's way; `openssl s_client -connect ADDRESS:PORT` shows the certificate.",
    )


def asks_who_is_there(prometheus: Prometheus, targets: Iterable[Mapping[str, Any]]) -> Check:
    """Prometheus, and each port that an exporter has on its host, refuse whoever has no password."""
    asked = {"Prometheus": ""} | {
        f"node-exporter on {_node(target)}": target["scrapeUrl"]
        for target in targets
        if target["labels"].get("job") == "node-exporter" and target["health"] == "up"
    }
    found = {name: prometheus.status_for_strangers(url) for name, url in asked.items()}
    open_to_all = [f"{name} answers {status}" for name, status in found.items() if status != UNAUTHORIZED]
    return judge(
        "monitoring.asks_who_is_there",
        not open_to_all,
        "; ".join(open_to_all) or f"{len(found)} ports refuse requests without a password",
        "Prometheus and the nodes' exporters refuse requests without a password",
        "Look whether the pods run with --web.config.file, and whether something else has the port.",
    )


def targets_are_up(targets: Sequence[Mapping[str, Any]], wanted: Wanted) -> Check:
    """Every target of the wanted nodes answers, and each node has those that it should have.

    A node that took no part in the run is reported by others; GPU exporters are judged by the GPUs that they measure.
    """
    judged = [
        target
        for target in targets
        if target["labels"].get("node") in {None, *wanted.nodes} and target["labels"].get("job") != "gpu-exporter"
    ]
    faults = [
        f"{target['labels'].get('job')} of {_node(target)}: {target['lastError'] or 'not asked yet'}"
        for target in judged
        if target["health"] != "up"
    ]
    for job in ("node-exporter", "kubelet"):
        there = {target["labels"].get("node") for target in judged if target["labels"].get("job") == job}
        faults += [f"{job} of {node} is missing" for node in wanted.nodes if node not in there]
    return judge(
        "monitoring.targets_are_up",
        not faults,
        "; ".join(faults) or f"{len(judged)} targets",
        "every target answers, on every node",
        "See the pods in the namespace; docs/runbooks/target-down.md says where to look for each.",
    )


def gpus_are_measured(series: Iterable[Mapping[str, Any]], wanted: Wanted) -> Check:
    """Prometheus has each GPU that NVML tells."""
    found = {(each["metric"].get("node"), each["metric"].get("UUID")) for each in series}
    listed = [(node, uuid) for node, uuids in wanted.gpus.items() for uuid in uuids]
    if not listed:
        return skipped("monitoring.gpus_are_measured", "no GPU was seen by NVML in this run")
    missing = [f"{uuid} of {node}" for node, uuid in listed if (node, uuid) not in found]
    return judge(
        "monitoring.gpus_are_measured",
        not missing,
        f"missing: {', '.join(missing)}" if missing else f"{len(listed)} GPUs",
        "every GPU that NVML shows",
        "See the node's pod of gpu-exporter and its log, and docs/runbooks/gpus-not-measured.md.",
    )


def rules_evaluate(rules: Sequence[Mapping[str, Any]]) -> Check:
    """Rules are there, and none has an error. One that was not evaluated yet has none."""
    faults = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("health") == "err"]
    return judge(
        "monitoring.rules_evaluate",
        bool(rules) and not faults,
        "; ".join(faults) or f"{len(rules)} rules",
        "every rule evaluates",
        "Compare the rule's metrics with what the exporters tell; run playbooks/platform.yml where there are none.",
    )


def no_alert_fires(rules: Iterable[Mapping[str, Any]]) -> Check:
    """What somebody should look at now, with its page."""
    firing = [(rule, alert) for rule in rules for alert in rule.get("alerts", ()) if alert["state"] == "firing"]
    if not firing:
        return ok("monitoring.no_alert_fires", "none fires")
    texts = [f"{rule['name']}: {alert['annotations'].get('summary', '')}" for rule, alert in firing]
    pages = sorted({str(alert["annotations"].get("runbook")) for _, alert in firing})
    return warning("monitoring.no_alert_fires", "; ".join(texts), "no alert fires", f"See {', '.join(pages)}.")


def _node(target: Mapping[str, Any]) -> str:
    labels = target["labels"]
    return str(labels.get("node") or labels.get("instance"))
