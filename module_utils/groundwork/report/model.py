"""What a report holds, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import STATUSES, Check, Status

SCHEMA = 1
"""Grows when a key changes its meaning or goes; new keys leave it as it is."""
TIMES = ("generated_at", "elapsed_seconds")
"""Keys that differ from run to run and are no news."""


@dataclass(frozen=True)
class Offer:
    """What pods ask for to get a device, and how many of them share it."""

    resource: str
    shares: int


@dataclass(frozen=True)
class Host:
    """One host: its verdicts, the GPUs as nvidia_gpu_info returned them, what runs there, and where it answers.

    resources  the UUIDs that its node offers, by resource; each as often as it is offered
    """

    name: str
    groups: tuple[str, ...] = ()
    system: str = ""
    checks: tuple[Check, ...] = ()
    gpus: tuple[Mapping[str, Any], ...] = ()
    resources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """The most serious of its checks."""
        return check.worst(self.checks)

    @property
    def offers(self) -> dict[str, Offer]:
        """By which resource pods get each GPU or MIG device, by its UUID."""
        return {uuid: Offer(name, uuids.count(uuid)) for name, uuids in self.resources.items() for uuid in uuids}


@dataclass(frozen=True)
class Report:
    """A site at one moment. generated_at: ISO 8601."""

    cluster: str
    generated_at: str
    hosts: tuple[Host, ...]
    elapsed_seconds: float | None = None

    @property
    def checks(self) -> list[Check]:
        """Those of all hosts."""
        return [found for host in self.hosts for found in host.checks]

    @property
    def versions(self) -> dict[str, str]:
        """What runs, by name; where hosts differ, each version with its hosts."""
        hosts: dict[str, dict[str, list[str]]] = {}
        for host in self.hosts:
            for name, version in host.versions.items():
                hosts.setdefault(name, {}).setdefault(version, []).append(host.name)
        return {name: _in_words(by_version) for name, by_version in sorted(hosts.items())}

    @property
    def endpoints(self) -> dict[str, str]:
        """Where things answer, by name."""
        return {name: url for host in self.hosts for name, url in sorted(host.endpoints.items())}

    def to_dict(self) -> dict[str, Any]:
        """The shape of report.json. `ok` is the one key that automation needs."""
        status = check.worst(self.checks)
        return {
            "schema": SCHEMA,
            "ok": status != "failed",
            "status": status,
            "cluster": self.cluster,
            "generated_at": self.generated_at,
            "elapsed_seconds": self.elapsed_seconds,
            "counts": check.counts(self.checks),
            "hosts": {host.name: _host(host) for host in self.hosts},
            "versions": self.versions,
            "endpoints": self.endpoints,
        }


def make(
    cluster: str,
    hosts: Mapping[str, Mapping[str, Any]],
    generated_at: str,
    elapsed_seconds: float | None = None,
) -> Report:
    """A report out of what roles registered.

    hosts  by name: {groups, system, checks, gpus, resources, versions, endpoints}, each of which may be left out

    Raises GroundworkError for what is no check.
    """
    made = tuple(_make_host(name, found) for name, found in sorted(hosts.items()))
    return Report(cluster, generated_at, made, elapsed_seconds)


def same_but_for_times(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two reports, as JSON, say the same."""
    return _without_times(one) == _without_times(other)


def by_severity(checks: Sequence[Check]) -> list[Check]:
    """The serious first, else by name."""
    return sorted(checks, key=lambda found: (-STATUSES.index(found.status), found.name))


def _make_host(name: str, found: Mapping[str, Any]) -> Host:
    checks = ({key: value for key, value in given.items() if key != "host"} for given in found.get("checks") or ())
    return Host(
        name=name,
        groups=tuple(found.get("groups") or ()),
        system=str(found.get("system") or ""),
        checks=tuple(check.from_dict(given) for given in checks),
        gpus=tuple(found.get("gpus") or ()),
        resources=found.get("resources") or {},
        versions={name: str(version) for name, version in (found.get("versions") or {}).items()},
        endpoints=found.get("endpoints") or {},
    )


def _in_words(by_version: Mapping[str, Sequence[str]]) -> str:
    """Return `580.95.05`, or `580.95.05 on n1, n2; 580.126.09 on n3` where hosts differ."""
    if len(by_version) == 1:
        return next(iter(by_version))
    return "; ".join(f"{version} on {', '.join(hosts)}" for version, hosts in by_version.items())


def _host(host: Host) -> dict[str, Any]:
    return {
        "status": host.status,
        "groups": list(host.groups),
        "system": host.system,
        "checks": [found.to_dict() for found in host.checks],
        "gpus": [dict(gpu) for gpu in host.gpus],
        "offers": {uuid: asdict(offer) for uuid, offer in host.offers.items()},
    }


def _without_times(report: Mapping[str, Any]) -> dict[str, Any]:
    """Neither times nor what GPUs measure from moment to moment."""
    kept = {key: value for key, value in report.items() if key not in TIMES}
    hosts = {name: {**host, "gpus": list(map(_identity, host["gpus"]))} for name, host in kept["hosts"].items()}
    return {**kept, "hosts": hosts}


def _identity(gpu: Mapping[str, Any]) -> dict[str, Any]:
    return {key: gpu.get(key) for key in ("index", "uuid", "name", "pci", "mig", "error")}
