"""The report's files."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.groundwork.report.model import Report, same_but_for_times
from ansible.module_utils.groundwork.report.page import render


def write(report: Report, directory: Path) -> bool:
    """Write report.json and report.html; whether the report says something new, times apart."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "report.json"
    made = report.to_dict()
    is_news = _is_news(path, made)
    _replace(path, json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    _replace(directory / "report.html", render(report))
    return is_news


def _is_news(path: Path, made: dict[str, object]) -> bool:
    """An older report that cannot be read is as good as none."""
    try:
        return not same_but_for_times(json.loads(path.read_text(encoding="utf-8")), made)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, for somebody who reads it meanwhile."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
