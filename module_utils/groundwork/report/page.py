"""The report as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import STATUSES, Check, Status
from ansible.module_utils.groundwork.report.model import Host, Offer, Report, by_severity
from ansible.module_utils.groundwork.report.style import CSS

SIGNS: dict[Status, str] = {"ok": "✓", "skipped": "○", "warning": "!", "failed": "✗"}
"""Beside the colours: not everybody tells green from red."""
VERDICTS: dict[Status, str] = {
    "ok": "Everything is as it should be",
    "skipped": "Nothing is wrong; some checks could not be made",
    "warning": "It works, but somebody should look at it",
    "failed": "Something is wrong",
}


def render(report: Report) -> str:
    """The whole page."""
    title = escape(f"{report.cluster}: report")
    body = "".join((_head(report), _tiles(report), _machines(report), _checks(report), _about(report)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def duration(seconds: float | None) -> str:
    """12 min 5 s.

    >>> duration(725.4), duration(None), duration(9)
    ('12 min 5 s', '', '9 s')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _head(report: Report) -> str:
    status = check.worst(report.checks)
    when = escape(report.generated_at)
    elapsed = f" · took {duration(report.elapsed_seconds)}" if report.elapsed_seconds is not None else ""
    return (
        f'<header class="{status}"><div class="sign" aria-hidden="true">{SIGNS[status]}</div><div>'
        f"<h1>{escape(report.cluster)}</h1><p>{VERDICTS[status]}</p>"
        f'<p class="quiet"><time datetime="{when}">{when}</time>{elapsed}</p></div></header>\n'
    )


def _tiles(report: Report) -> str:
    """The numbers that people look for first."""
    gpus = [gpu for host in report.hosts for gpu in host.gpus]
    lost = sum(1 for gpu in gpus if gpu.get("error"))
    counts = check.counts(report.checks)
    numbers = [
        _tile(str(len(report.hosts)), "hosts"),
        _tile(str(len(gpus)), f"GPUs, {lost} not answering" if lost else "GPUs", "failed" if lost else ""),
        *(
            _tile(str(counts[status]), f"checks {status}", status if counts[status] else "")
            for status in reversed(STATUSES)
        ),
    ]
    return f'<section class="tiles" aria-label="Summary">{"".join(numbers)}</section>\n'


def _tile(number: str, label: str, status: str = "") -> str:
    return f'<div class="tile {status}"><strong>{number}</strong><span>{escape(label)}</span></div>'


def _machines(report: Report) -> str:
    """Every host with its GPUs, in the order of the driver."""
    return f'<section><h2>Hosts</h2><div class="hosts">{"".join(map(_machine, report.hosts))}</div></section>\n'


def _machine(host: Host) -> str:
    groups = "".join(f'<span class="group">{escape(group)}</span>' for group in host.groups)
    gpus = "".join(_gpu(gpu, host.offers) for gpu in host.gpus) or '<p class="quiet">no GPU</p>'
    return (
        f'<article class="host"><h3><a href="#{escape(host.name)}">{escape(host.name)}</a> {_pill(host.status)}</h3>'
        f'<p class="quiet">{escape(host.system)} {groups}</p><div class="gpus">{gpus}</div></article>'
    )


def _gpu(gpu: Mapping[str, Any], offers: Mapping[str, Offer]) -> str:
    error = gpu.get("error")
    name = escape(str(gpu.get("name") or "GPU").removeprefix("NVIDIA "))
    if error:
        place = escape(str((gpu.get("pci") or {}).get("bus_id") or ""))
        return (
            f'<div class="gpu failed"><b>{gpu["index"]}</b> {name} {place}<p>{escape(str(error["message"]))}</p></div>'
        )
    identity, index = escape(str(gpu.get("uuid"))), gpu["index"]
    offered = _offered(offers.get(str(gpu.get("uuid"))))
    parts = f"<b>{index}</b> {name}{_memory(gpu)}{offered}{_slices(gpu, offers)}{_measures(gpu)}"
    return f'<div class="gpu" title="{identity}">{parts}</div>'


def _memory(gpu: Mapping[str, Any]) -> str:
    memory = gpu.get("memory")
    if not memory:
        return ""
    used, total = memory["used_mib"], memory["total_mib"]
    label = f"{used / 1024:.1f} of {total / 1024:.0f} GiB used"
    return (
        f'<meter min="0" max="{total}" value="{used}" title="{label}">{label}</meter><span class="quiet">{label}</span>'
    )


def _offered(offer: Offer | None) -> str:
    """What pods ask for to get it."""
    return f'<span class="quiet"><code>{escape(_in_words(offer))}</code></span>' if offer else ""


def _in_words(offer: Offer) -> str:
    return f"{offer.resource}, shared by {offer.shares}" if offer.shares > 1 else offer.resource


def _slices(gpu: Mapping[str, Any], offers: Mapping[str, Offer]) -> str:
    """MIG devices side by side, and what pods ask for to get one of each kind."""
    devices = (gpu.get("mig") or {}).get("devices") or ()
    slices = "".join(
        f'<span title="{escape(device["uuid"])}">{escape(str(device["profile"]))}</span>' for device in devices
    )
    kinds = dict.fromkeys(offers[device["uuid"]] for device in devices if device["uuid"] in offers)
    return f'<div class="slices">{slices}</div>{"".join(map(_offered, kinds))}' if slices else ""


def _measures(gpu: Mapping[str, Any]) -> str:
    celsius = (gpu.get("temperature") or {}).get("gpu_celsius")
    watts = (gpu.get("power") or {}).get("usage_watts")
    processes = gpu.get("processes") or ()
    said = [
        f"{celsius} °C" if celsius is not None else "",
        f"{watts:.0f} W" if watts is not None else "",
        f"{len(processes)} process{'es' if len(processes) != 1 else ''}" if processes else "",
    ]
    return f'<span class="quiet">{" · ".join(filter(None, said))}</span>'


def _checks(report: Report) -> str:
    return f"<section><h2>Checks</h2>{''.join(map(_host_checks, report.hosts))}</section>\n"


def _host_checks(host: Host) -> str:
    """Open where there is something to do."""
    is_open = " open" if host.status in ("warning", "failed") else ""
    rows = "".join(map(_row, by_severity(host.checks)))
    return (
        f'<details id="{escape(host.name)}"{is_open}><summary>{escape(host.name)} {_pill(host.status)} '
        f'<span class="quiet">{len(host.checks)} checks</span></summary>'
        '<div class="scroll"><table><thead><tr><th>Status</th><th>Check</th><th>Observed</th><th>Wanted</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _row(found: Check) -> str:
    remedy = ""
    if found.remedy and found.status in ("warning", "failed"):
        remedy = f'<p class="remedy">→ {escape(found.remedy)}</p>'
    return (
        f"<tr><td>{_pill(found.status)}</td><td><code>{escape(found.name)}</code></td>"
        f"<td>{escape(found.observed)}{remedy}</td><td>{escape(found.wanted)}</td></tr>"
    )


def _pill(status: Status) -> str:
    return f'<span class="pill {status}">{SIGNS[status]} {status}</span>'


def _about(report: Report) -> str:
    parts = (("Versions", report.versions.items()), ("Endpoints", report.endpoints.items()))
    tables = "".join(_pairs(title, pairs) for title, pairs in parts if pairs)
    return f'<section class="about">{tables}</section>\n' if tables else ""


def _pairs(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td><code>{escape(str(value))}</code></td></tr>" for name, value in pairs
    )
    return f'<div><h2>{title}</h2><div class="scroll"><table>{rows}</table></div></div>'
