"""What a verb came to: one type, printed as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlstack.check import Check, as_text, passed


@dataclass(frozen=True)
class Result:
    """The end of a verb that could be begun.

    text    what people read
    data    what programs read, beside `ok` and `checks`; JSON's types alone
    checks  verdicts; one that failed makes the result not ok
    failed  what was tried came to nothing, for a reason that is no check
    """

    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    failed: bool = False

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return not self.failed and passed(self.checks)

    def to_json(self) -> str:
        """`{"ok": …, "checks": […], …data}`."""
        checks = [check.to_dict() for check in self.checks]
        return json.dumps({"ok": self.ok, "checks": checks, **self.data}, indent=2)

    def to_text(self) -> str:
        """The checks, and the text below them."""
        return "\n".join(filter(None, [as_text(self.checks), self.text]))
