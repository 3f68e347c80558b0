"""Work in a child process, under a deadline."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.nvml import NvmlError


def hang() -> NoReturn:
    while True:
        signal.pause()


def refuse() -> NoReturn:
    raise NvmlError("NVML says no", "Ask again.", "GpuIsLost")


def crash() -> None:
    signal.raise_signal(signal.SIGKILL)


def defect() -> NoReturn:
    raise KeyError("uuid")


def test_the_result_comes_from_another_process() -> None:
    assert child.call(os.getpid, 5, "itself") != os.getpid()


def test_large_results_pass_whole() -> None:
    assert child.call(lambda: "x" * 5_000_000, 10, "much") == "x" * 5_000_000


def test_the_error_type_and_its_fields_survive() -> None:
    with pytest.raises(NvmlError) as raised:
        child.call(refuse, 5, "GPU 0")
    assert (raised.value.code, raised.value.message, raised.value.remedy) == ("GpuIsLost", "NVML says no", "Ask again.")


def test_a_hanging_child_is_given_up_at_the_deadline_and_ended() -> None:
    started = child.start(hang, "GPU 3")
    with pytest.raises(child.DeadlineError, match="GPU 3") as raised:
        child.result(started, time.monotonic() + 0.05)
    assert "dmesg" in raised.value.remedy
    with pytest.raises(ProcessLookupError):
        os.kill(started.pid, 0)


def test_one_that_hangs_does_not_delay_the_others() -> None:
    deadline = time.monotonic() + 0.5
    hanging = [child.start(hang, f"GPU {index}") for index in range(3)]
    well = child.start(lambda: "here", "GPU 3")
    assert child.result(well, deadline) == "here"
    for started in hanging:
        with pytest.raises(child.DeadlineError):
            child.result(started, deadline)
    assert time.monotonic() < deadline + 5


def test_a_child_that_dies_is_told_from_one_that_hangs() -> None:
    with pytest.raises(GroundworkError, match="process that read GPU 1 died") as raised:
        child.call(crash, 5, "GPU 1")
    assert not isinstance(raised.value, child.DeadlineError)


def test_a_defect_in_the_child_is_heard_of() -> None:
    with pytest.raises(GroundworkError, match=r"Unexpected: KeyError\('uuid'\)"):
        child.call(defect, 5, "GPU 1")


def test_the_child_holds_no_stream_of_the_module() -> None:
    """A child that hangs in the kernel would else keep the connection to Ansible open for ever."""
    targets = child.call(
        lambda: [str(Path(f"/proc/self/fd/{stream}").readlink()) for stream in (0, 1, 2)], 5, "streams"
    )
    assert targets == ["/dev/null"] * 3


def test_the_child_has_a_session_of_its_own() -> None:
    assert child.call(lambda: os.getsid(0), 5, "session") != os.getsid(0)


def test_parts_come_one_after_the_other() -> None:
    def work() -> Iterator[object]:
        yield "first"
        yield "second"
        refuse()

    with child.ended(child.stream(work, "parts")) as started:
        assert [child.part(started, time.monotonic() + 5) for _ in range(2)] == ["first", "second"]
        with pytest.raises(NvmlError):
            child.part(started, time.monotonic() + 5)


def test_a_part_that_does_not_come_leaves_those_before() -> None:
    def work() -> Iterator[str]:
        yield "first"
        hang()

    with child.ended(child.stream(work, "GPU 1")) as started:
        assert child.part(started, time.monotonic() + 5) == "first"
        with pytest.raises(child.DeadlineError, match="GPU 1"):
            child.part(started, time.monotonic() + 0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(started.pid, 0)


def test_what_cannot_be_sent_is_a_defect_that_is_told() -> None:
    with pytest.raises(GroundworkError, match="Unexpected: "):
        child.call(lambda: lambda: 1, 5, "a function without a name")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_behind() -> None:
    before = open_files()
    for _ in range(20):
        child.call(os.getpid, 5, "itself")
    assert open_files() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
