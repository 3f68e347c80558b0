"""The kernel's log in every form in which the journal writes it as JSON: https://systemd.io/JOURNAL_EXPORT_FORMATS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.gpu.verify import xid
from ansible.module_utils.groundwork.gpu.verify.xid import KernelLog, Seen
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import Commands

XID = "NVRM: Xid (PCI:0000:1b:00): 79, pid=1, GPU has fallen off the bus."
Value = str | bytes | None


def written(values: list[Value]) -> str:
    """The line of an entry whose message has these values: several are a list, bytes are numbers, null is too long."""
    told: list[Any] = [list(value) if isinstance(value, bytes) else value for value in values]
    return json.dumps({"MESSAGE": told[0] if len(told) == 1 else told, "__CURSOR": "s=1"})


def read(tmp_path: Path, *lines: str) -> KernelLog:
    journal = tmp_path / "run/log/journal/0123/system.journal"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    return xid.read(Commands({"journalctl": Output(0, "\n".join(lines) + "\n", "")}), 5, tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        [XID],
        [XID.encode() + b"\xff\x07"],
        ["usb 1-1: new device", XID],
        [XID.encode() + b"\x1b[0m", None],
        [b"", XID, b"\xfe"],
    ],
    ids=["text", "bytes", "two values", "bytes and one that is too long", "an empty one"],
)
def test_an_xid_is_found_in_every_form_of_a_message(tmp_path: Path, values: list[Value]) -> None:
    """An entry may have several messages; the GPU that fell off the bus is in one of them."""
    assert read(tmp_path, written(values)) == KernelLog((Seen("0000:1b:00", 79),))


@pytest.mark.parametrize(
    "line",
    [
        '{"MESSAGE": null}',
        '{"MESSAGE": []}',
        '{"MESSAGE": ""}',
        '{"MESSAGE": [null, null]}',
        '{"__CURSOR": "s=1"}',
        "{",
    ],
)
def test_an_entry_that_says_nothing_hides_no_other(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line, written([XID]), line).xids == (Seen("0000:1b:00", 79),)


VALUES = st.lists(st.text() | st.binary() | st.none() | st.just(XID) | st.just(XID.encode()), min_size=1, max_size=4)


@given(st.lists(VALUES, max_size=4))
def test_whatever_a_log_holds_each_xid_is_counted_once(entries: list[list[Value]]) -> None:
    """Whoever may write to the log, nothing that is in it ends the look at a host's GPUs."""
    messages = [xid._message(written(values)) for values in entries]
    times = sum(value in (XID, XID.encode()) for values in entries for value in values)
    assert xid.parse(messages) == ((Seen("0000:1b:00", 79, times),) if times else ())
