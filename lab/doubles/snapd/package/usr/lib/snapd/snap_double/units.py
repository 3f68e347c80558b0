"""The systemd units of a snap's services (wrappers/internal/service_unit_gen.go)."""

from __future__ import annotations

from typing import Any

from . import contents, layout, system
from .state import Snap


def write(snap: Snap) -> None:
    """Write the units of all services."""
    for daemon in snap.daemons:
        (layout.UNITS / name(snap.name, daemon)).write_text(_unit(snap, daemon, snap.apps[daemon]))
    if snap.daemons:
        system.systemctl("daemon-reload")


def remove(snap: Snap) -> None:
    """Remove them."""
    for daemon in snap.daemons:
        (layout.UNITS / name(snap.name, daemon)).unlink(missing_ok=True)
    if snap.daemons:
        system.systemctl("daemon-reload")


def name(snap: str, app: str) -> str:
    """The unit of a service."""
    return f"snap.{snap}.{app}.service"


def _unit(snap: Snap, daemon: str, app: dict[str, Any]) -> str:
    mount = contents.mount_unit(snap)
    after = " ".join([mount, "network.target", *(name(snap.name, other) for other in app.get("after", []))])
    return f"""[Unit]
# Auto-generated, DO NOT EDIT
Description=Service for snap application {snap.name}.{daemon}
Requires={mount}
Wants=network.target
After={after}
X-Snappy=yes

[Service]
EnvironmentFile=-/etc/environment
ExecStart=/usr/bin/snap run {snap.name}.{daemon}
SyslogIdentifier={snap.name}.{daemon}
Restart={app.get("restart-condition", "on-failure")}
WorkingDirectory={layout.data(snap.name, snap.revision)}
TimeoutStopSec={app.get("stop-timeout", "30")}
Type={app["daemon"]}
{_optional(app)}
[Install]
WantedBy=multi-user.target
"""


def _optional(app: dict[str, Any]) -> str:
    lines = []
    if app["daemon"] == "notify":
        # snapd says `NotifyAccess=main`; in the lab's hosts systemd sees the program behind nsenter as another
        # cgroup's, hence all
        lines.append("NotifyAccess=all")
    if "start-timeout" in app:
        lines.append(f"TimeoutStartSec={app['start-timeout']}")
    if app.get("stop-mode") == "sigterm":
        # only the main process is told to end: containers outlive containerd
        lines += ["KillMode=process", "KillSignal=SIGTERM"]
    return "".join(f"{line}\n" for line in lines)
