"""report.json, as the last phase of site.yml writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from groundwork.paths import ARTIFACTS

SCHEMA = 1
"""The one that is read here; new keys leave it as it is."""


@dataclass(frozen=True)
class Check:
    """One verdict, with the fields that all of Groundwork's verdicts have. status: ok, skipped, warning or failed."""

    name: str
    status: str
    observed: str = ""
    wanted: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class HostReport:
    """One host: the most serious status of its checks, the checks, and its GPUs as nvidia_gpu_info returns them."""

    name: str
    status: str
    groups: tuple[str, ...]
    system: str
    checks: tuple[Check, ...]
    gpus: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Report:
    """A site at one moment.

    ok               whether no check failed: the one key that automation needs
    generated_at     ISO 8601
    elapsed_seconds  how long the run took; None where only its last phase ran
    counts           how many checks have each status
    versions         what runs, by name
    endpoints        where things answer, by name
    path             the file it was read from
    """

    ok: bool
    status: str
    cluster: str
    generated_at: str
    elapsed_seconds: float | None
    counts: Mapping[str, int]
    hosts: Mapping[str, HostReport]
    versions: Mapping[str, str]
    endpoints: Mapping[str, str]
    path: Path
    _json: Mapping[str, Any] = field(repr=False)

    def failed(self) -> list[tuple[str, Check]]:
        """The failed checks, each with its host."""
        return self.checks("failed")

    def checks(self, *statuses: str) -> list[tuple[str, Check]]:
        """The checks of these statuses, or all, each with its host."""
        return [
            (name, check)
            for name, host in self.hosts.items()
            for check in host.checks
            if not statuses or check.status in statuses
        ]

    def to_dict(self) -> dict[str, Any]:
        """The file's own content."""
        return dict(self._json)


def read(path: Path | str) -> Report:
    """Read one report.json.

    Raises UsageError where there is none, or none that this version understands.
    """
    path = Path(path)
    again = "Run playbooks/verify.yml, which writes a new one."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no report {path}", again) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"The report {path} cannot be read: {error}", again) from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"The report {path} has schema {schema!r}, and this version reads {SCHEMA}",
            "Use the version of Groundwork that wrote it, or write a new one by playbooks/verify.yml.",
        )
    try:
        return _report(content, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"The report {path} is not whole: {error!r}", again) from None


def newest(directory: Path | str = ARTIFACTS, cluster: str = "") -> Report:
    """Read the last report that was written below a directory of artifacts, of one cluster or of any.

    Raises UsageError where there is none.
    """
    found = sorted(Path(directory).glob(f"{cluster or '*'}/report.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        of = f" of cluster {cluster}" if cluster else ""
        raise UsageError(f"There is no report{of} in {directory}", "`groundwork verify -i INVENTORY` writes one.")
    return read(found[-1])


def _report(content: Mapping[str, Any], path: Path) -> Report:
    return Report(
        ok=content["ok"],
        status=content["status"],
        cluster=content["cluster"],
        generated_at=content["generated_at"],
        elapsed_seconds=content.get("elapsed_seconds"),
        counts=content["counts"],
        hosts={name: _host(name, host) for name, host in content["hosts"].items()},
        versions=content.get("versions", {}),
        endpoints=content.get("endpoints", {}),
        path=path,
        _json=content,
    )


def _host(name: str, host: Mapping[str, Any]) -> HostReport:
    return HostReport(
        name=name,
        status=host["status"],
        groups=tuple(host["groups"]),
        system=host["system"],
        checks=tuple(as_check(check) for check in host["checks"]),
        gpus=tuple(host["gpus"]),
    )


def as_check(fields: Mapping[str, Any]) -> Check:
    """A check out of its JSON shape; what later versions add is passed over."""
    return Check(*(str(fields.get(key, "")) for key in ("name", "status", "observed", "wanted", "remedy")))
