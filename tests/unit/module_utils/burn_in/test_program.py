"""The program itself, on processors, where torch is; and on a GPU, where there is one."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.burn_in import program

PROGRAM = Path(program.__file__)
torch: Any = vars(program)["torch"]
NO_TORCH = torch is None
NO_GPU = NO_TORCH or not torch.cuda.is_available()
needs_torch = pytest.mark.skipif(NO_TORCH, reason="this Python has no torch")
needs_gpu = pytest.mark.skipif(NO_GPU, reason="this Python has no torch that sees a GPU")
SETTINGS = (
    "persistence_mode,power.limit,clocks.applications.graphics,clocks.applications.memory,compute_mode,ecc.mode.current,"
    "ecc.mode.pending,mig.mode.current,mig.mode.pending,clocks.max.sm,gpu_operation_mode.current"
)


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=300)
    assert stdout, stderr
    told: dict[str, Any] = json.loads(stdout.strip().splitlines()[-1])
    return told


def by_test(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {result["test"]: result for result in told["results"]}


@pytest.mark.skipif(not NO_TORCH, reason="this Python has torch")
def test_without_torch_it_says_so() -> None:
    process = start("gpus")
    assert answer(process) == {"torch": None, "cuda": None, "reason": "this Python has no torch", "results": []}
    assert process.returncode == 1


@needs_torch
@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_cuda_it_says_why() -> None:
    told = answer(start("gpus", "--seconds", "5"))
    assert told["reason"].startswith("CUDA cannot be initialised: ")
    assert told["results"] == []


@needs_torch
def test_on_processors_every_test_is_run_and_right() -> None:
    told = by_test(answer(start("gpus", "--device", "cpu", "--seconds", "3")))
    assert set(told) == set(program.SHARES)
    assert all(result["wrong"] == 0 and result["checked"] > 0 and result["best"] > 0 for result in told.values())


@needs_torch
def test_a_sum_over_two_processes() -> None:
    both = [
        start("all-reduce", "--rank", str(rank), "--world", "2", "--master", "127.0.0.1:29731", "--seconds", "3")
        for rank in range(2)
    ]
    for told in map(answer, both):
        [result] = told["results"]
        assert (result["test"], result["wrong"]) == ("all_reduce_gloo", 0)


@needs_torch
@pytest.mark.parametrize(("place", "every"), [((0, 0), 1), ((3, 5), 2)], ids=["always", "now and then"])
def test_a_wrong_product_is_counted(monkeypatch: pytest.MonkeyPatch, place: tuple[int, int], every: int) -> None:
    """Always by a sample that the processor computes anew, now and then by comparison with the first."""
    whole, calls = torch.mm, itertools.count()

    def broken(left: Any, right: Any, out: Any) -> Any:
        product = whole(left, right, out=out)
        if next(calls) % every == 0:
            product[place] += 100
        return product

    monkeypatch.setattr(torch, "mm", broken)
    assert program._one(program.processors(), "matrix_tf32", 1).wrong >= 1


@needs_torch
def test_memory_that_forgets_is_counted_and_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    write = program._write

    def forget(chunk: Any, number: int, pattern: int | None) -> None:
        write(chunk, number, pattern)
        if number == 1:
            chunk[7] ^= 1

    monkeypatch.setattr(program, "_write", forget)
    result = program._one(program.processors(), "pattern", 1)
    assert result.wrong >= 1
    assert result.note == "first in MiB 1 to 2 of what was tested"


@needs_torch
def test_an_error_of_torch_ends_one_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nlong story")

    monkeypatch.setattr(program, "_copy", fail)
    found = {each.test: each for each in program.test(program.processors(), 2, lambda _: None)}
    assert found["copy"].note == "ended by CUDA error: uncorrectable ECC error encountered"
    assert found["copy"].wrong == 1
    assert found["pattern"].wrong == 0


def settings() -> str:
    words = ["nvidia-smi", f"--query-gpu={SETTINGS}", "--format=csv"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def bare(prepare: Callable[[int], tuple[Callable[[], object], float]], sizes: list[int]) -> float:
    """The best rate of a sweep by torch alone, written for this test: events of CUDA, a median of five."""
    rates: list[float] = []
    for size in sizes:
        work, amount = prepare(size)
        work()
        times = []
        for _ in range(5):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(10):
                work()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) / 1e4)
        rates.append(amount / statistics.median(times))
    return max(rates)


def product(size: int) -> tuple[Callable[[], object], float]:
    left = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    out = torch.empty_like(left)
    return lambda: torch.mm(left, left, out=out), 2.0 * size**3 / 1e12


def copy(mib: int) -> tuple[Callable[[], object], float]:
    source = torch.ones(mib * 2**20, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), 2.0 * source.numel() / 1e9


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_it_ends_in_a_minute_is_as_fast_as_bare_torch_and_sets_nothing() -> None:
    before = settings()
    began = time.monotonic()
    told = by_test(answer(start("gpus", "--seconds", "58")))
    assert time.monotonic() - began <= 60
    assert settings() == before
    assert all(result["wrong"] == 0 for result in told.values()), told
    assert told["matrix_bf16"]["best"] >= 0.95 * bare(product, [2048, 4096, 6144, 8192, 12288, 16384])
    assert told["copy"]["best"] >= 0.95 * bare(copy, [64, 256, 512, 1024, 2048, 4096])
