"""What of a lab runs."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from lab import cgroups, hosts, namespace
from lab.model import MIRROR, Host, Lab


def status(lab: Lab, *, with_memory: bool = False) -> dict[str, Any]:
    """Return the lab as data: its hosts with address and state, and whether all of it runs.

    Args:
        lab: which lab.
        with_memory: also sum up each host's memory in MiB, as proportional set sizes (proc(5), smaps_rollup): pages
            that processes share count once.
    """
    with namespace.held():
        states = hosts.states(lab)
    memory = used_memory(lab.name) if with_memory else None
    rows = [_row(host, states.get(host.name, "stopped")) for host in lab.hosts]
    if lab.mirror:
        rows.append({"name": "mirror", "address": lab.address(MIRROR), "state": states.get("mirror", "stopped")})
    if memory is not None:
        rows = [{**row, "memory_mib": memory[str(row["name"])]} for row in rows]
    is_up = all(row["state"] == "running" for row in rows)
    found = {
        "ok": is_up,
        "lab": lab.name,
        "subnet": lab.subnet,
        "hosts": [row for row in rows if row["name"] != "mirror"],
    }
    if lab.mirror:
        found["mirror"] = rows[-1]
    return found


def table(found: dict[str, Any]) -> str:
    """Return the status as a table for people."""
    rows = [*found["hosts"], *([found["mirror"]] if "mirror" in found else [])]
    columns = ["name", "address", "state", "os", "gpus", *(["memory_mib"] if "memory_mib" in rows[0] else [])]
    cells = [columns, *([str(row.get(column) or "-") for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def used_memory(lab: str, proc: Path = Path("/proc")) -> Counter[str]:
    """Sum up the memory in MiB of each container's processes, told apart by their control groups."""
    own = re.compile(rf"/{cgroups.PARENT}/{re.escape(lab)}/([^/\n]+)")
    total: Counter[str] = Counter()
    for process in proc.glob("[0-9]*"):
        try:
            found = own.search((process / "cgroup").read_text())
            if found:
                total[found[1]] += _pss_kib((process / "smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return Counter({name: kib // 1024 for name, kib in total.items()})


def _pss_kib(smaps_rollup: str) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", smaps_rollup, re.M)
    return int(found[1]) if found else 0


def _row(host: Host, state: str) -> dict[str, Any]:
    gpus = f"{host.gpus.count} x {host.gpus.model}" if host.gpus else ""
    return {"name": host.name, "address": host.address, "state": state, "os": host.os, "gpus": gpus}
