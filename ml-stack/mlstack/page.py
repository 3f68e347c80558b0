"""The frame of a report: one HTML page that needs nothing else, so that it can be sent, stored and opened anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from mlstack.check import Check, passed


def page(title: str, about: str, checks: Iterable[Check], verdict: str, body: str, origin: str) -> str:
    """A page. `body` is HTML; everything else is text, and the verdict has the colour of the checks."""
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title), about=escape(about), status="ok" if passed(checks) else "failed",
        verdict=escape(verdict), body=body, origin=escape(origin),
    )  # fmt: skip


def table_of(checks: Iterable[Check], prefix: str) -> str:
    """Checks as a table, their names without the prefix."""
    rows = "".join(_check(check, prefix) for check in checks)
    return (
        f'<div class="scroll"><table><tr><th></th><th>check</th><th>found</th><th>wanted</th></tr>{rows}</table></div>'
    )


def row(cells: Iterable[str]) -> str:
    """A table's row of HTML cells."""
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def image(svg: str, alt: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def words(name: str) -> str:
    """A name of the program's for people: `macro_f1` as `macro F1`."""
    return name.replace("_", " ").replace(" f1", " F1")


def _check(check: Check, prefix: str) -> str:
    remedy = f'<br><span class="soft">{escape(check.remedy)}</span>' if check.status in ("warning", "failed") else ""
    return row([
        f'<span class="{check.status}">{check.status}</span>', words(check.name.removeprefix(prefix)),
        escape(check.observed) + remedy, escape(check.wanted),
    ])  # fmt: skip
