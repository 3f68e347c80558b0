"""`microk8s status --format yaml`, whose exit code lies.

Not ready: 1. Stopped: 0, with plain text on standard output. On a worker: 0, with plain text (microk8s
scripts/wrappers/status.py and common/utils.py; issue 3974). So only a document with the right keys is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s.paths import MICROK8S

try:
    import yaml
except ImportError:  # before role host_base has made the virtual environment
    yaml = None  # type: ignore[assignment]


@dataclass(frozen=True)
class DatastoreNode:
    """A member of the datastore: its ip:port, and voter, standby or spare."""

    address: str
    role: str


@dataclass(frozen=True)
class Addon:
    """An addon of a repository."""

    name: str
    repository: str
    version: str | None
    enabled: bool


@dataclass(frozen=True)
class Status:
    """What the command said. `running` means that the API answers and some node, not this one, is Ready.

    message  the plain text of a node that is stopped, a worker, or not ready; else None
    """

    running: bool
    message: str | None = None
    high_availability: bool = False
    datastore: tuple[DatastoreNode, ...] = ()
    addons: tuple[Addon, ...] = ()


def readable() -> bool:
    """Whether this Python can read the document; a bare Debian's cannot before the virtual environment is there."""
    return yaml is not None


def observe(run: Run, timeout_seconds: float) -> Status:
    """Ask MicroK8s. An unreachable datastore alone takes the command a minute.

    Raises GroundworkError when it does not end in time.
    """
    output = run([MICROK8S, "status", "--format", "yaml"], timeout_seconds)
    return parse(output.stdout, output.text)


def parse(document: str, otherwise: str = "") -> Status:
    """Status out of a document; `otherwise` is the message where it is none.

    Raises GroundworkError where PyYAML is missing.
    """
    if yaml is None:
        raise GroundworkError(
            "This Python has no PyYAML", "Run the module by the interpreter in site_venv, or install python3-yaml."
        )
    try:
        found = yaml.safe_load(document)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("microk8s"), dict):
        return Status(False, otherwise.strip() or document.strip() or None)
    return _status(found)


def _status(found: dict[str, Any]) -> Status:
    availability = found.get("high-availability") or {}
    return Status(
        running=found["microk8s"].get("running") is True,
        message=availability.get("message"),  # indented so by MicroK8s, though it is about the whole node
        high_availability=availability.get("enabled") is True,
        datastore=tuple(DatastoreNode(node["address"], node["role"]) for node in availability.get("nodes") or ()),
        addons=tuple(_addon(addon) for addon in found.get("addons") or ()),
    )


def _addon(addon: dict[str, Any]) -> Addon:
    version = addon.get("version")
    return Addon(
        name=addon["name"],
        repository=addon["repository"],
        version=None if version is None else str(version),
        enabled=addon.get("status") == "enabled",
    )
