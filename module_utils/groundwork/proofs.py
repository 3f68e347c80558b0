"""Proofs cost pods: where nothing changed since the last one that held, its verdicts stand, with its time."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.check import Check, from_dict, skipped

When = Literal["always", "changed", "never"]

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "proofs": {"type": "str", "choices": ["always", "changed", "never"], "default": "always"},
    "proof_file": {"type": "path"},
    "proof_subject": {"type": "raw"},
}
"""The options that modules with a proof share."""


@dataclass(frozen=True)
class Memory:
    """Where the last proof that held is kept, if anywhere, and what a proof is about now, as JSON can hold it."""

    file: Path | None
    subject: object

    def recall(self) -> list[Check] | None:
        """The verdicts of the last proof, if it was about the same subject."""
        try:
            kept = json.loads(self.file.read_text()) if self.file else {}
            if kept.get("subject") == self._digest:
                return [_dated(from_dict(check), kept["at"]) for check in kept["checks"]]
        except (OSError, ValueError, KeyError, AttributeError):
            pass  # not there, or not of this version: as if nothing was proved
        return None

    def keep(self, checks: Iterable[Check]) -> None:
        """Remember a proof where all of it held."""
        verdicts = [check.to_dict() for check in checks]
        if self.file is None or any(verdict["status"] != "ok" for verdict in verdicts):
            return
        at = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"subject": self._digest, "at": at, "checks": verdicts}))
        new.replace(self.file)

    def forget(self) -> None:
        """Remember nothing, so that a proof that fails or does not end is made again."""
        if self.file:
            self.file.unlink(missing_ok=True)

    @property
    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.subject, sort_keys=True).encode()).hexdigest()


def ask(module: AnsibleModule, names: Iterable[str], prove: Callable[[], list[Check]]) -> list[Check]:
    """The verdicts of a module's proof, whose subject is all its parameters but when, where and how long."""
    given = dict(module.params)
    subject = {key: value for key, value in given.items() if key not in ("proofs", "proof_file", "timeout_seconds")}
    file = Path(given["proof_file"]) if given["proof_file"] else None
    return verdicts("never" if module.check_mode else given["proofs"], Memory(file, subject), names, prove)


def verdicts(when: When, memory: Memory, names: Iterable[str], prove: Callable[[], list[Check]]) -> list[Check]:
    """The verdicts of a proof: remembered, made now, or skipped.

    when   always; changed, which is where memory has none; never
    names  the names of the checks that `prove` returns
    """
    remembered = memory.recall() if when != "always" else None
    if remembered is not None:
        return remembered
    if when == "never":
        return [skipped(name, "not proved in this run") for name in names]
    memory.forget()
    checks = prove()
    memory.keep(checks)
    return checks


def _dated(check: Check, at: str) -> Check:
    return replace(check, observed=f"{check.observed} (proved {at})")
