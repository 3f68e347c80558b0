"""Xids in the kernel's log: found, counted, and told apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.verify import xid
from ansible.module_utils.groundwork.gpu.verify.xid import KernelLog, Seen

from tests.unit.module_utils.fakes import Commands

# Lines as drivers of several years write them: NVIDIA's Xid pages, and reports of users.
LINES = [
    ("(PCI:0000:0a:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", Seen("0000:0a:00", 79)),
    ("(PCI:0000:5d:00): 48, pid='<unknown>', name=<unknown>, DBE (double bit error)", Seen("0000:5d:00", 48)),
    ("(PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for remapping", Seen("0000:10:1c", 63)),
    ("(0000:03:00): 14, Channel 00000001", Seen("0000:03:00", 14)),
    ("(PCI:0000:41:00 GPU-I:05): 13, pid=2345, name=python3, Graphics Exception", Seen("0000:41:00", 13)),
    ("(PCI:00000009:01:00): 31, Ch 0000000b, engmask 00000120", Seen("0009:01:00", 31)),
]


@pytest.mark.parametrize(("line", "seen"), LINES)
@pytest.mark.parametrize("before", ["", "[  966.503025] "])
def test_lines_of_every_age_are_read(before: str, line: str, seen: Seen) -> None:
    assert xid.parse([f"{before}NVRM: Xid {line}"]) == (seen,)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: GPU at PCI:0000:0a:00: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7",
        "NVRM: Xid: something that is none",
        "nvidia-nvswitch0: SXid (PCI:0000:c4:00.0): 12028, Non-fatal, Link 32",
        "audit: user said NVRM Xid 79",
        "",
    ],
)
def test_what_is_no_xid_is_passed_over(line: str) -> None:
    assert xid.parse([line]) == ()


def test_the_same_xid_of_a_gpu_is_counted_and_others_stay_apart() -> None:
    lines = [f"NVRM: Xid (PCI:0000:{bus}:00): {number}, text" for bus, number in [("1b", 13), ("43", 13), ("1B", 13)]]
    assert xid.parse(lines) == (Seen("0000:1b:00", 13, 2), Seen("0000:43:00", 13))
    assert str(Seen("0000:1b:00", 79, 2)) == "Xid 79 (the GPU has fallen off the bus, 2 times)"


@pytest.mark.parametrize("number", [13, 31, 43, 45, 68])
def test_what_nvidias_device_plugin_takes_for_a_programs_own_is_none_of_the_gpus(number: int) -> None:
    assert xid.kind(number) == "program"


@pytest.mark.parametrize("number", [46, 48, 62, 64, 74, 79, 95, 119, 120, 140, 143])
def test_what_the_catalogue_has_mended_by_a_reset_or_more_is_the_gpus_own(number: int) -> None:
    assert xid.kind(number) == "broken"
    assert xid.remedy(number)


@pytest.mark.parametrize("number", [63, 92, 94, 109, 145, 154])
def test_what_is_survived_is_to_be_looked_at(number: int) -> None:
    assert xid.kind(number) == "look"


def test_an_unexplained_number_is_the_gpus_own() -> None:
    assert (xid.kind(9999), "catalogue" in xid.meaning(9999), xid.remedy(9999)) == ("broken", True, xid.UNKNOWN)


def test_no_number_stands_in_two_tables() -> None:
    numbers = [*xid.PROGRAM, *xid.LOOK, *xid.BROKEN]
    assert len(numbers) == len(set(numbers))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host that keeps a journal."""
    (tmp_path / "run/log/journal/0123").mkdir(parents=True)
    (tmp_path / "run/log/journal/0123/system.journal").touch()
    return tmp_path


def journal(*messages: object) -> Commands:
    lines = "\n".join(json.dumps({"MESSAGE": message}) for message in messages)
    return Commands({"journalctl": Output(0, lines + "\n", "")})


def test_the_journal_of_this_boot_is_asked_for_the_kernels_messages(root: Path) -> None:
    run = journal(
        "NVRM: Xid (PCI:0000:1b:00): 48, x", "usb 1-1: new device", None, list(b"NVRM: Xid (PCI:0000:43:00): 74, \xff")
    )
    assert xid.read(run, 5, root) == KernelLog((Seen("0000:1b:00", 48), Seen("0000:43:00", 74)))
    assert "--boot" in run.asked[0]
    assert run.asked[0].endswith("_TRANSPORT=kernel + SYSLOG_IDENTIFIER=kernel _UID=0")


def test_a_torn_line_hides_no_other(root: Path) -> None:
    run = Commands({"journalctl": Output(0, '{"MESS\n{"MESSAGE": "NVRM: Xid (PCI:0000:1b:00): 79, x"}\n', "")})
    assert xid.read(run, 5, root).xids == (Seen("0000:1b:00", 79),)


def late(_argv: Sequence[str], _seconds: float) -> Output:
    raise GroundworkError("`journalctl` took longer than 5 s", "Run again.")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (Commands({}), "command not found"),
        (Commands({"journalctl": Output(1, "", "No journal files were found.")}), "No journal files"),
        (Commands({"journalctl": Output(0, "-- No entries --\n", "Hint: You are currently not seeing all")}), "Hint"),
        (late, "took longer than 5 s"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_read_says_so(root: Path, run: Commands, said: str) -> None:
    found = xid.read(run, 5, root)
    assert found.xids == ()
    assert found.unread is not None
    assert said in found.unread


def test_a_host_that_keeps_no_journal_says_so_and_is_not_asked(tmp_path: Path) -> None:
    run = journal()
    assert xid.read(run, 5, tmp_path) == KernelLog(unread="this host keeps no journal")
    assert run.asked == []


def test_a_journal_without_an_xid_is_a_good_one(root: Path) -> None:
    for output in ("", "-- No entries --\n", '{"MESSAGE": "usb 1-1: new device"}\n'):
        assert xid.read(Commands({"journalctl": Output(0, output, "")}), 5, root) == KernelLog()
