"""What `script/generate` does: each role's README out of its argument_specs and verbs, so that none drifts apart."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- Written by script/generate out of meta/argument_specs.yml and tasks/. Change those. -->"
VERBS = {
    "preflight": "checks what would stop the role; changes nothing",
    "facts": "gathers facts, once a run",
    "mirrors": "checks that the site's mirrors answer",
    "admin_host": "finds the host that cluster-wide steps run on",
    "request": "records why a reboot is needed",
    "install": "brings what the role needs onto the host",
    "configure": "sets it up",
    "run": "makes it work, and waits until it does",
    "verify": "checks that it works; changes nothing",
    "report": "writes what was found",
    "remove": "takes away what the role brought",
    "upgrade": "replaces it by a newer version, without losing work",
    "backup": "copies its state to a safe place",
    "restore": "brings back its state from there",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the READMEs, or compare them; 1 where one is not current."""
    parser = argparse.ArgumentParser(prog="script/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a README is not current")
    options = parser.parse_args(arguments)
    stale = [path for path, text in readmes().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is not current: run script/generate' if options.check else 'written'}")
        if not options.check:
            path.write_text(readmes()[path])
    return 1 if options.check and stale else 0


def readmes(root: Path = ROOT) -> dict[Path, str]:
    """The text of every role's README by its path."""
    roles = sorted(spec.parents[1] for spec in root.glob("roles/*/meta/argument_specs.yml"))
    return {role / "README.md": readme(role) for role in roles}


def readme(role: Path) -> str:
    """A role's README."""
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    parts = [
        f"# {role.name}: {_lower(spec['short_description'])}",
        MARK,
        "\n".join(map(_text, _list(spec.get("description", [])))),
        f"## Verbs\n\n{_verbs(role)}",
        f"## Variables\n\n{_variables(spec.get('options', {}))}",
    ]
    return "\n\n".join(parts) + "\n"


def _verbs(role: Path) -> str:
    """The verb files of the role, in the order of VERBS; other files there are parts of them."""
    found = [verb for verb in VERBS if (role / f"tasks/{verb}.yml").exists()]
    return "\n".join(f"- `{verb}` {VERBS[verb]}" for verb in found)


def _variables(options: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        f"| `{name}` | {_kind(option)} | {_default(option)} | {_prose(option)} |" for name, option in options.items()
    ]
    return "\n".join(["| name | type | default | what it is |", "|---|---|---|---|", *rows]) if rows else "None."


def _kind(option: Mapping[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else str(kind)


def _default(option: Mapping[str, Any]) -> str:
    return (
        "required" if option.get("required") else f"`{_escape(json.dumps(option.get('default'), ensure_ascii=False))}`"
    )


def _prose(option: Mapping[str, Any]) -> str:
    text = " ".join(map(_text, _list(option["description"])))
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", []))
    return _escape(f"{text} One of {choices}." if choices else text)


def _text(description: str) -> str:
    """Ansible's markup as Markdown: C(), V() and O() are code."""
    return re.sub(r"\b[CVO]\(([^)]*)\)", r"`\1`", " ".join(description.split()))


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _lower(title: str) -> str:
    """As it stands after a colon; names such as NVIDIA's or MicroK8s keep their capitals."""
    first = title.split(" ", 1)[0]
    return title[0].lower() + title[1:] if first == first.capitalize() else title


if __name__ == "__main__":
    sys.exit(main())
