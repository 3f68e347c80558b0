"""How the program reckons time, rates and faults, on a torch and a clock of this test: what it does on GPUs, without.

Speeds are given, so that a rate that is reckoned wrongly is seen; test_program.py runs the same on a torch that is one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.groundwork.burn_in import program
from ansible.module_utils.groundwork.burn_in.program import MIB, SHARES, Device, Result
from hypothesis import given
from hypothesis import strategies as st

GPU = Device("cuda:0", "GPU-0", "NVIDIA H100 80GB HBM3", 80 * 2**30)
SMALL = Device("cuda:0", "GPU-0", "NVIDIA T4", 2 * 2**30)
CPU = program.processors()


class Clock:
    """time.perf_counter; work is what moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def work(self, *costs: float) -> Callable[..., object]:
        """Work that takes so long; the last cost is that of all that follow."""
        left = list(costs)

        def do(*_: object, **__: object) -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return do


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(program, "time", found)
    return found


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A torch that sees two GPUs; `log` is what was asked of CUDA."""
    log: list[str] = []

    @contextlib.contextmanager
    def device(name: str) -> Iterator[None]:
        log.append(f"choose {name}")
        yield

    cuda = SimpleNamespace(
        init=lambda: None,
        device_count=lambda: 2,
        get_device_properties=lambda index: SimpleNamespace(name="NVIDIA H100 80GB HBM3", uuid=f"uuid-{index}"),
        mem_get_info=lambda index: (70 * 2**30 + index, 80 * 2**30),
        device=device,
        synchronize=lambda name: log.append(f"wait {name}"),
        empty_cache=lambda: log.append("empty"),
    )
    backends = SimpleNamespace(cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)))
    versions = {"__version__": "2.9", "version": SimpleNamespace(cuda="13.0")}
    made = SimpleNamespace(**versions, cuda=cuda, backends=backends, log=log, uint8="uint8")
    monkeypatch.setattr(program, "torch", made)
    return made


def result(test: str = "copy") -> Result:
    return Result("GPU-0", "NVIDIA H100 80GB HBM3", test, "GB/s")


# Timing


def test_the_first_piece_of_work_and_a_disturbed_window_are_not_counted(clock: Clock) -> None:
    """The first waits for memory and kernels to be made; somebody else's work in one window of five is no speed."""
    work = clock.work(3.0, 0.05, 0.05, 9.0, 0.05)
    assert program._seconds_each(CPU, work, 60) == pytest.approx(0.05)


@pytest.mark.parametrize(("seconds", "windows"), [(60, program.ROUNDS), (0.32, 2), (0, 1)])
def test_what_a_little_time_is_left_for_is_still_measured(clock: Clock, seconds: float, windows: int) -> None:
    called = 0
    work = clock.work(0.1)

    def counted() -> None:
        nonlocal called
        called += 1
        work()

    assert program._seconds_each(CPU, counted, seconds) == pytest.approx(0.1)
    assert called == 2 + windows, "one to begin, one to know how long it takes, and the windows"


@given(cost=st.floats(1e-5, 5), seconds=st.floats(0, 20))
def test_a_timing_ends_in_its_time_however_slow_the_work(cost: float, seconds: float) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "time", clock)
        assert program._seconds_each(CPU, clock.work(cost), seconds) == pytest.approx(cost, rel=1e-3)
    longest = max(cost, min(program.WINDOW_SECONDS, seconds / program.ROUNDS))
    assert clock.now <= seconds + 2 * cost + longest + 1e-6


def test_what_a_gpu_was_only_told_to_do_is_waited_for_before_and_after(clock: Clock, torch: SimpleNamespace) -> None:
    program._window(GPU, lambda: torch.log.append("work"), 2)
    assert torch.log == ["wait cuda:0", "work", "work", "wait cuda:0"]
    assert clock.now == 0


def test_the_best_size_is_the_one_of_the_highest_rate(clock: Clock) -> None:
    costs = {64: 0.002, 256: 0.004, 1024: 0.032}
    found = result()
    best = program._sweep(CPU, list(costs), lambda size: (clock.work(costs[size]), float(size)), 6, found)
    assert best == 256
    assert found.sizes == pytest.approx({"64": 32000.0, "256": 64000.0, "1024": 32000.0})
    assert found.best == pytest.approx(64000.0)


# All tests of a GPU


def spending(clock: Clock, given: dict[str, float], factor: dict[str, float] | None = None) -> Callable[..., Result]:
    """In the place of a test: it takes what it is given, or that many times as much."""

    def one(_device: Device, name: str, seconds: float) -> Result:
        given[name] = seconds
        clock.now += seconds * (factor or {}).get(name, 1.0)
        return result(name)

    return one


@pytest.mark.usefixtures("torch")
def test_each_test_gets_its_share_of_the_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}
    heard: list[str] = []
    monkeypatch.setattr(program, "_one", spending(clock, given))
    found = program.test(GPU, 60, lambda each: heard.append(each.test))
    assert given == pytest.approx({name: 60 * share for name, share in SHARES.items()})
    assert heard == [each.test for each in found] == list(SHARES)
    assert clock.now < 60, "some is left to begin and to end"


@pytest.mark.usefixtures("torch")
def test_what_one_test_took_too_much_the_others_have_less(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}
    monkeypatch.setattr(program, "_one", spending(clock, given, {"matrix_bf16": 2.0, "copy": 0.5}))
    program.test(GPU, 60, lambda _: None)
    assert clock.now < 60
    assert given["matrix_fp16"] < 60 * SHARES["matrix_fp16"]
    assert given["pattern"] > given["copy"] * SHARES["pattern"] / SHARES["copy"], "what copy left is shared out"


@pytest.mark.usefixtures("torch")
def test_after_the_end_no_test_is_given_negative_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}
    monkeypatch.setattr(program, "_one", spending(clock, given, {"matrix_bf16": 20.0}))
    assert len(program.test(GPU, 60, lambda _: None)) == len(SHARES)
    assert set(list(given.values())[1:]) == {0.0}


@pytest.mark.usefixtures("clock")
def test_what_a_test_took_of_a_gpu_is_given_back_even_where_it_fails(
    torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        torch.log.append("fail")
        raise MemoryError

    monkeypatch.setattr(program, "_one", fail)
    with pytest.raises(MemoryError):
        program.test(GPU, 60, lambda _: None)
    assert torch.log == ["choose cuda:0", "fail", "empty"]


@pytest.mark.parametrize("before", [True, False])
def test_tf32_is_on_until_the_last_gpu_is_done(
    torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """It is one switch of the process: a GPU that is done sooner must not turn it off for one that still compares."""
    matmul = torch.backends.cuda.matmul
    matmul.allow_tf32 = before
    second_begins, first_is_done = threading.Event(), threading.Event()
    seen: list[bool] = []

    def one(device: Device, name: str, _seconds: float) -> Result:
        assert (second_begins if device.name == "cuda:0" else first_is_done).wait(60)
        seen.append(matmul.allow_tf32)
        return Result(device.uuid, device.product, name, "GB/s")

    def say(found: Result) -> None:
        if (found.gpu, found.test) == ("GPU-uuid-0", list(SHARES)[-1]):
            first_is_done.set()

    @contextlib.contextmanager
    def choose(name: str) -> Iterator[None]:
        if name == "cuda:1":
            second_begins.set()
        yield

    torch.cuda.device = choose
    monkeypatch.setattr(program, "_one", one)
    monkeypatch.setattr(program, "_say", say)
    assert program.main(["gpus"]) == 0
    assert seen == [True] * (2 * len(SHARES))
    assert matmul.allow_tf32 is before


@pytest.mark.parametrize(
    ("name", "function", "unit"),
    [
        ("matrix_tf32", "_matrix", "TFLOP/s"),
        ("copy", "_copy", "GB/s"),
        ("pattern", "_pattern", "GB/s"),
        ("from_gpu", "_transfer", "GB/s"),
    ],
)
def test_an_error_of_cuda_is_a_fault_of_this_test_in_its_words(
    monkeypatch: pytest.MonkeyPatch, name: str, function: str, unit: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(program, function, fail)
    found = program._one(GPU, name, 1)
    assert (found.test, found.unit, found.wrong, found.best) == (name, unit, 1, None)
    assert found.note == "ended by CUDA error: an illegal memory access was encountered"


# Right or wrong


class Matrix:
    """What a product came to: its elements are all right, but `wrong` of them."""

    def __init__(self, size: int, wrong: int = 0) -> None:
        self.size, self.wrong = size, wrong

    def __ne__(self, other: object) -> Any:
        return SimpleNamespace(sum=lambda: self.wrong)

    __hash__ = object.__hash__

    def numel(self) -> int:
        return self.size**2


def test_products_are_compared_again_and_again_and_give_the_sustained_rate(
    clock: Clock, torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4096 at 0.2 ms a product is 687 TFLOP/s, whatever comparing takes beside."""
    out = Matrix(4096, wrong=3)
    torch.mm = clock.work(0.0002)
    torch.empty_like = lambda _: out
    monkeypatch.setattr(program, "_random", lambda *_: None)
    monkeypatch.setattr(program, "_samples", lambda *_: (2, 64))
    found = result("matrix_bf16")
    program._repeat(GPU, 4096, None, 1.0, found)
    looks = (found.checked - 64) // out.numel()
    assert looks > 10, "a fault that comes and goes is seen only by looking often"
    assert found.wrong == 2 + 3 * looks
    assert found.sustained == pytest.approx(2 * 4096**3 / 1e12 / 0.0002, rel=0.01)
    assert clock.now == pytest.approx(1.0, rel=0.1)


def written(
    clock: Clock, torch: SimpleNamespace, patch: pytest.MonkeyPatch, cost: float = 0.0, faults: tuple[Any, ...] = ()
) -> list[tuple[int, int | None]]:
    """Memory of this test: which chunks were written, with what; `faults` are the chunks and patterns that fail."""
    found: list[tuple[int, int | None]] = []

    def write(_chunk: object, number: int, pattern: int | None) -> None:
        clock.now += cost
        found.append((number, pattern))

    patch.setattr(torch, "empty", lambda *_, **__: None, raising=False)
    patch.setattr(program, "_write", write)
    patch.setattr(program, "_wrong", lambda _, number, pattern: 5 if (number, pattern) in faults else 0)
    return found


def test_most_of_the_memory_is_written_with_every_pattern(
    clock: Clock, torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = written(clock, torch, monkeypatch, cost=0.001)
    told = result("pattern")
    program._pattern(SMALL, 60, told)
    chunks = 4  # of 256 MiB: 85 % of 2 GiB, less two for what checking needs
    assert found == [(number, pattern) for pattern in (0x00, 0xFF, 0x55, 0xAA, None) for number in range(chunks)]
    assert (told.wrong, told.note) == (0, "")
    assert told.checked == 5 * chunks * 256 * MIB
    assert told.best == pytest.approx(2 * 256 * MIB / 1e9 / 0.001)
    assert list(told.sizes) == ["1024 MiB, 5 of 5 patterns"]


def test_patterns_end_before_their_time_is_over_and_say_how_many_there_were(
    clock: Clock, torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(clock, torch, monkeypatch, cost=1.0)
    told = result("pattern")
    program._pattern(SMALL, 13, told)
    assert clock.now == 12.0, "a fourth one would have ended after 16 seconds"
    assert list(told.sizes) == ["1024 MiB, 3 of 5 patterns"]
    assert told.checked == 3 * 1024 * MIB


def test_the_first_bad_place_of_the_memory_is_told_and_all_are_counted(
    clock: Clock, torch: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(clock, torch, monkeypatch, cost=0.001, faults=((2, 0x55), (1, None)))
    told = result("pattern")
    program._pattern(SMALL, 60, told)
    assert (told.wrong, told.note) == (10, "first in MiB 512 to 768 of what was tested")


# A sum over all


class Values:
    """A tensor all of whose elements are one number."""

    def __init__(self, count: int, number: float) -> None:
        self.count, self.number = count, number

    def fill_(self, number: float) -> Values:
        self.number = number
        return self

    def __ne__(self, other: object) -> Any:
        return SimpleNamespace(sum=lambda: self.count if self.number != other else 0)

    __hash__ = object.__hash__


@pytest.fixture
def distributed(torch: SimpleNamespace, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Processes whose sum takes 4 ns for a byte, and is short by `lost`; `groups` tells who began and who ended."""
    found = SimpleNamespace(lost=0.0, groups=[], world=1)

    def begin(backend: str, *, init_method: str, rank: int, world_size: int, timeout: Any) -> None:
        found.world = world_size
        found.groups.append(f"{backend} {init_method} {rank} {timeout.total_seconds():g}")

    def all_reduce(values: Values) -> None:
        clock.now += 4e-9 * values.count * 4
        values.number = found.world * (found.world + 1) / 2 - found.lost

    found.init_process_group, found.all_reduce = begin, all_reduce
    found.destroy_process_group = lambda: found.groups.append("end")
    torch.distributed, torch.device = found, lambda name: SimpleNamespace(type=name.partition(":")[0])
    torch.cuda.set_device = lambda device: torch.log.append(f"set {device.type}")
    torch.full = lambda shape, number, device: Values(shape[0], number)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(os, "environ", {})
    return found


@pytest.mark.parametrize(("world", "factor"), [(2, 1.0), (4, 1.5), (8, 1.75)])
def test_the_rate_of_a_sum_is_the_bus_bandwidth_of_nccls_tests(
    distributed: SimpleNamespace, world: int, factor: float
) -> None:
    """NVIDIA/nccl-tests, doc/PERFORMANCE.md: busbw = algbw * 2 (n - 1) / n; here algbw is 0.25 GB/s."""
    found = program.all_reduce(0, world, "10.1.0.5:29500", "gloo", 9)
    assert found.best == pytest.approx(0.25 * factor)
    assert list(found.sizes) == ["1 MiB", "8 MiB"]
    assert (found.test, found.wrong, found.checked) == ("all_reduce_gloo", 0, 9 * MIB // 4)
    assert distributed.groups == ["gloo tcp://10.1.0.5:29500 0 129", "end"]


def test_a_sum_that_lacks_one_ranks_part_is_wrong_in_all_its_elements(distributed: SimpleNamespace) -> None:
    distributed.lost = 2.0
    found = program.all_reduce(1, 2, "10.1.0.5:29500", "gloo", 9)
    assert found.wrong == found.checked > 0


@pytest.mark.usefixtures("distributed")
def test_nccl_takes_this_ranks_gpu_and_waits_for_it(torch: SimpleNamespace) -> None:
    found = program.all_reduce(3, 8, "127.0.0.1:20000", "nccl", 9)
    assert (found.gpu, list(found.sizes)) == ("rank 3", ["1 MiB", "16 MiB", "256 MiB"])
    assert torch.log[0] == "set cuda"
    assert any(line.startswith("wait ") for line in torch.log), "NCCL only begins the sum"


def test_who_fails_within_the_group_leaves_it(distributed: SimpleNamespace) -> None:
    def fail(_values: Values) -> None:
        raise RuntimeError("Connection closed by peer")

    distributed.all_reduce = fail
    with pytest.raises(RuntimeError, match="closed by peer"):
        program.all_reduce(0, 2, "10.1.0.5:29500", "gloo", 9)
    assert distributed.groups[-1] == "end"


# What is printed


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told


@pytest.mark.usefixtures("torch")
def test_gpus_are_tested_together_and_each_is_told_by_its_uuid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times: list[float] = []

    def test(device: Device, seconds: float, say: Callable[[Result], None]) -> list[Result]:
        times.append(seconds)
        found = Result(device.uuid, device.product, "copy", "GB/s", best=3000.0, wrong=int(device.name == "cuda:1"))
        say(found)
        return [found]

    monkeypatch.setattr(program, "test", test)
    monkeypatch.setattr(program, "BEGAN", time.perf_counter() - 10)
    assert program.main(["gpus", "--seconds", "30"]) == 1, "one GPU was wrong"
    assert all(19 < seconds <= 20 for seconds in times), "importing torch took ten seconds of it"
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert [each["gpu"] for each in told["results"]] == ["GPU-uuid-0", "GPU-uuid-1"]
    assert (told["torch"], told["cuda"], told["reason"]) == ("2.9", "13.0", "")
    assert len(out.splitlines()) == 3, "each measurement is told as it ends, for whoever waits no longer"
    assert "GPU-uuid-1 copy: 3000.0 GB/s, 1 wrong of 0" in err


def test_a_line_is_written_in_one_piece_since_gpus_write_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of two threads that run into each other are no JSON."""
    pieces: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for name, written in pieces.items():
        monkeypatch.setattr(sys, name, SimpleNamespace(write=written.append, flush=lambda: None))
    program._say(result())
    assert {name: (len(written), written[-1][-1:]) for name, written in pieces.items()} == {
        "stdout": (1, "\n"),
        "stderr": (1, "\n"),
    }


def test_a_torch_without_uuids_numbers_its_gpus(torch: SimpleNamespace) -> None:
    torch.cuda.get_device_properties = lambda _: SimpleNamespace(name="NVIDIA T4")
    assert [each.uuid for each in program.devices()] == ["cuda:0", "cuda:1"]
    assert program.devices()[1].memory == 70 * 2**30 + 1, "what is free, not what is built in"


@pytest.mark.parametrize(
    ("words", "count", "reason"),
    [
        ("gpus", 0, "CUDA sees no GPU"),
        ("all-reduce-gpus", 1, "one GPU alone"),
        ("all-reduce-gpus", 0, "one GPU alone"),
    ],
)
def test_without_anything_to_measure_it_says_why(
    torch: SimpleNamespace, capsys: pytest.CaptureFixture[str], words: str, count: int, reason: str
) -> None:
    torch.cuda.device_count = lambda: count
    assert program.main([words]) == 0
    told = last_line(capsys)
    assert (told["results"], told["reason"]) == ([], reason)


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_a_cuda_that_does_not_begin_is_told_in_its_first_line(
    torch: SimpleNamespace, capsys: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    def init() -> None:
        raise error("No CUDA GPUs are available\nmore")

    torch.cuda.init = init
    program.main(["gpus"])
    assert last_line(capsys)["reason"] == "CUDA cannot be initialised: No CUDA GPUs are available"
