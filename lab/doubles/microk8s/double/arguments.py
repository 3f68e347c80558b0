"""The files under args/: one flag a line, which MicroK8s's programs are started with."""

from __future__ import annotations

import os
import re

from . import node


def read(service: str) -> str:
    """A whole file; empty if there is none."""
    try:
        return node.arguments_file(service).read_text()
    except FileNotFoundError:
        return ""


def get(key: str, service: str) -> str | None:
    """A flag's value as it stands in the file, without quotes."""
    for line in read(service).splitlines():
        name, _, value = _split(line)
        if name == key:
            return value.strip("\"'")
    return None


def update(service: str, values: dict[str, str | None]) -> bool:
    """Set flags, or delete those whose value is None; tell whether the file changed."""
    before = read(service)
    lines = before.splitlines()
    for key, value in values.items():
        lines = _with(lines, key, value)
    after = "".join(f"{line}\n" for line in lines)
    if after != before:
        node.write_private(node.arguments_file(service), after)
    return after != before


def _with(lines: list[str], key: str, value: str | None) -> list[str]:
    found = [index for index, line in enumerate(lines) if _split(line)[0] == key]
    if value is None:
        return [line for index, line in enumerate(lines) if index not in found]
    new = f"{key}={value}"
    if not found:
        return [*lines, new]
    return [new if index in found else line for index, line in enumerate(lines)]


def prepend(service: str, key: str, value: str) -> None:
    """Put a flag before the others, as the start of kubelite does [refresh_opt_in_local_config]."""
    kept = [line for line in read(service).splitlines() if _split(line)[0] != key]
    node.write_private(node.arguments_file(service), "".join(f"{line}\n" for line in [f"{key}={value}", *kept]))


def words(service: str) -> list[str]:
    """The flags as a program gets them: without quotes, split at spaces, variables expanded [ReadArgsFromFile]."""
    lines = [line for line in read(service).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [os.path.expandvars(word) for line in lines for word in re.sub("[\"']", "", line).split()]


def _split(line: str) -> tuple[str, str, str]:
    text = line.strip()
    if text.startswith("#"):
        return ("", "", "")
    separator = "=" if "=" in text and " " not in text.partition("=")[0] else " "
    name, found, value = text.partition(separator)
    return (name, found, value)
