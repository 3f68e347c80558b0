"""The bundle's index: one page that says what is inside, what is not and why, and how much was taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from ansible.module_utils.groundwork.report.style import CSS
from ansible.module_utils.groundwork.support.collect import Entry, Status

SHADES: dict[Status, str] = {
    "collected": "ok",
    "empty": "skipped",
    "absent": "skipped",
    "refused": "skipped",
    "failed": "warning",
    "timed out": "failed",
    "left out": "failed",
}
"""Each status in the colours of the report. A command that fails is often no news: what it asks is not there."""
ORDER = list(reversed(SHADES))
Section = tuple[str, str, Sequence[Entry]]
"""A part's name, its problem, and what it told."""


def render(cluster: str, when: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    title = escape(f"{cluster}: support bundle")
    entries = [entry for _, _, found in sections for entry in found]
    body = f"{_head(title, when, entries)}{''.join(map(_section, sections))}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _head(title: str, when: str, entries: Sequence[Entry]) -> str:
    removed = sum(entry.removed for entry in entries)
    size = sum(entry.size for entry in entries) / 2**20
    counts = Counter(entry.status for entry in entries)
    said = ", ".join(f"{counts[status]} {status}" for status in SHADES if counts[status])
    return (
        f'<header class="ok"><div><h1>{title}</h1><p>{said}; {size:.1f} MiB</p>'
        f"<p>{removed} secrets were taken out; where one stood is &lt;removed: …&gt;.</p>"
        "<p>Look through it before it leaves you.</p>"
        f'<p class="quiet"><time datetime="{escape(when)}">{escape(when)}</time></p></div></header>\n'
    )


def _section(section: Section) -> str:
    name, problem, entries = section
    rows = "".join(
        _row(name, entry) for entry in sorted(entries, key=lambda entry: (ORDER.index(entry.status), entry.name))
    )
    said = f'<p class="remedy failed">{escape(problem)}</p>' if problem else ""
    table = (
        '<div class="scroll"><table><thead><tr><th>Status</th><th>File</th><th>What</th><th>Bytes</th><th>Removed</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    title = f'{escape(name)} <span class="quiet">{len(entries)} items</span>'
    return f"<details open><summary>{title}</summary>{said}{table if rows else ''}</details>"


def _row(part: str, entry: Entry) -> str:
    name, what = escape(entry.name), escape(entry.what)
    link = f'<a href="{escape(part)}/{name}">{name}</a>' if entry.size else name
    note = f'<p class="quiet">{escape(entry.note)}</p>' if entry.note else ""
    return (
        f'<tr><td><span class="pill {SHADES[entry.status]}">{entry.status}</span></td><td>{link}{note}</td>'
        f"<td><code>{what}</code></td><td>{entry.size}</td><td>{entry.removed or ''}</td></tr>"
    )
