"""Burn-in of the GPUs that this process sees, in plain torch: are they right, and how fast? Nothing of them is set.

    program.py gpus [--seconds 60]              each GPU alone: matrix products, copies, patterns, transfers
    program.py all-reduce-gpus [--seconds 20]   together: a process for each GPU, by NCCL
    program.py all-reduce --rank 0 --world 2 --master 10.1.0.5:29500    this process and others, by gloo, on processors

Runs anywhere torch is; Groundwork runs it in pods. Progress goes to standard error; standard output gets a JSON object
for each measurement, and at last {"torch", "cuda", "reason", "results"}, in one line.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

BEGAN = time.perf_counter()
"""Importing torch and beginning with CUDA take their part of the time."""

try:
    import torch
except ImportError:  # where the program is only handed on
    torch = None

MIB = 2**20
WINDOW_SECONDS = 0.05
"""How long one timing lasts: long enough that starting the work costs nothing of it."""
ROUNDS = 5
PATTERNS: tuple[int | None, ...] = (0x00, 0xFF, 0x55, 0xAA, None)
"""Bytes; None is each word's own number."""
MATRICES = {"matrix_bf16": "bfloat16", "matrix_fp16": "float16", "matrix_tf32": "float32"}
TOLERANCES = {"bfloat16": 2e-2, "float16": 4e-3, "float32": 4e-3}
"""Of a product's elements, against their size: what rounding inputs and results may cost."""
SHARES = {
    "matrix_bf16": 0.24,
    "matrix_fp16": 0.12,
    "matrix_tf32": 0.12,
    "copy": 0.1,
    "pattern": 0.25,
    "to_gpu": 0.06,
    "from_gpu": 0.06,
}
"""Of the time, for each test; what is left is for beginning and ending."""


@dataclass
class Result:
    """One measurement of one GPU.

    best       the highest rate, that of the best size: 10^12 operations or 10^9 bytes a second
    sustained  the rate over the rest of the time, at that size
    sizes      the rate of each size that was tried
    wrong      elements or bytes that were not what they should be
    checked    how many were looked at
    """

    gpu: str
    product: str
    test: str
    unit: str
    best: float | None = None
    sustained: float | None = None
    sizes: dict[str, float] = field(default_factory=dict)
    wrong: int = 0
    checked: int = 0
    note: str = ""


@dataclass(frozen=True)
class Device:
    """A GPU, or the processors, for a machine without."""

    name: str
    uuid: str
    product: str
    memory: int

    @property
    def is_gpu(self) -> bool:
        """Whether what is begun on it goes on by itself."""
        return self.name.startswith("cuda")

    def wait(self) -> None:
        """Wait until all that was begun on it is done."""
        if self.is_gpu:
            torch.cuda.synchronize(self.name)


def devices() -> list[Device]:
    """The GPUs of this process. Raises RuntimeError where CUDA cannot be initialised, with its words."""
    torch.cuda.init()
    return [_gpu(index) for index in range(torch.cuda.device_count())]


def processors() -> Device:
    """The processors, to run the same on."""
    return Device("cpu", "CPU", "processors", 256 * MIB)


def _gpu(index: int) -> Device:
    told = torch.cuda.get_device_properties(index)
    free, _ = torch.cuda.mem_get_info(index)
    return Device(f"cuda:{index}", f"GPU-{told.uuid}" if hasattr(told, "uuid") else f"cuda:{index}", told.name, free)


def test(device: Device, seconds: float, say: Callable[[Result], None]) -> list[Result]:
    """All tests of one device, within a time; `say` hears of each as it ends."""
    results = []
    end, left = time.perf_counter() + seconds, 1.0
    for name, share in SHARES.items():
        with _on(device):
            result = _one(device, name, max(0.0, end - time.perf_counter()) * share / left)
        left -= share
        say(result)
        results.append(result)
    return results


def _one(device: Device, name: str, seconds: float) -> Result:
    result = Result(device.uuid, device.product, name, "TFLOP/s" if name in MATRICES else "GB/s")
    try:
        if name in MATRICES:
            _matrix(device, MATRICES[name], seconds, result)
        elif name == "copy":
            _copy(device, seconds, result)
        elif name == "pattern":
            _pattern(device, seconds, result)
        else:
            _transfer(device, name == "to_gpu", seconds, result)
    except torch.cuda.OutOfMemoryError:
        result.note = "something else holds too much of the memory"
    except RuntimeError as error:  # of CUDA, too: the other tests may still tell something
        result.note = f"ended by {str(error).splitlines()[0]}"
        result.wrong += 1
    return result


@contextlib.contextmanager
def _on(device: Device) -> Iterator[None]:
    """The device chosen, and its memory given back at the end."""
    with torch.cuda.device(device.name) if device.is_gpu else contextlib.nullcontext():
        yield
        if device.is_gpu:
            torch.cuda.empty_cache()


def _matrix(device: Device, kind: str, seconds: float, result: Result) -> None:
    """Products of square matrices: which size is fastest, then that one again and again."""
    sizes = [2048, 4096, 6144, 8192, 12288, 16384] if device.is_gpu else [128, 256]
    dtype = getattr(torch, kind)
    fitting = [size for size in sizes if 4 * size * size * dtype.itemsize < device.memory]

    def prepare(size: int) -> tuple[Callable[[], object], float]:
        left, right = (_random(device, size, dtype) for _ in range(2))
        out = torch.empty_like(left)
        return lambda: torch.mm(left, right, out=out), 2.0 * size**3 / 1e12

    best = _sweep(device, fitting, prepare, seconds / 2, result)
    _repeat(device, best, dtype, seconds / 2, result)


def _random(device: Device, size: int, dtype: Any) -> Any:
    return torch.randn(size, size, device=device.name, dtype=torch.float32).to(dtype)


def _repeat(device: Device, size: int, dtype: Any, seconds: float, result: Result) -> None:
    """The same product again and again: samples of the first are computed anew, the others compared with it."""
    left, right = (_random(device, size, dtype) for _ in range(2))
    first, out = torch.empty_like(left), torch.empty_like(left)
    torch.mm(left, right, out=first)
    result.wrong, result.checked = _samples(left, right, first)
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or not done:
        count = max(1, min(64, int(done / spent * WINDOW_SECONDS * 4))) if done else 1
        for _ in range(count):
            torch.mm(left, right, out=out)
        done += count
        result.wrong += int((out != first).sum())
        result.checked += out.numel()
    device.wait()
    result.sustained = done * 2.0 * size**3 / 1e12 / (time.perf_counter() - began)


def _samples(left: Any, right: Any, product: Any) -> tuple[int, int]:
    """Some elements of a product, computed anew in 64 bits by the processor: how many are wrong, of how many."""
    places = torch.linspace(0, product.shape[0] - 1, 8).long()
    wanted = left[places.to(left.device)].cpu().double() @ right[:, places.to(left.device)].cpu().double()
    found = product[places.to(product.device)][:, places.to(product.device)].cpu().double()
    scale = wanted.abs().mean() * (4 + left.shape[0] ** 0.5 * 0.01)
    wrong = (found - wanted).abs() > TOLERANCES[str(left.dtype).removeprefix("torch.")] * scale
    return int((wrong | found.isnan()).sum()), wrong.numel()


def _copy(device: Device, seconds: float, result: Result) -> None:
    """Copies within the device's memory; each byte is read and written."""
    sizes = [64 * MIB, 256 * MIB, 1024 * MIB, 4096 * MIB] if device.is_gpu else [1 * MIB, 8 * MIB]

    def prepare(size: int) -> tuple[Callable[[], object], float]:
        source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=device.name)
        target = torch.empty_like(source)
        result.checked += size
        result.wrong += int((target.copy_(source) != source).sum())
        return lambda: target.copy_(source), 2.0 * size / 1e9

    best = _sweep(device, [size for size in sizes if 3 * size < device.memory], prepare, seconds * 0.7, result)
    _sustain(device, *prepare(best), seconds * 0.3, result)


def _sustain(device: Device, work: Callable[[], object], amount: float, seconds: float, result: Result) -> None:
    """The rate of one size over a time."""
    result.sustained = amount / _seconds_each(device, work, seconds)


def _transfer(device: Device, to_gpu: bool, seconds: float, result: Result) -> None:
    """Between the host's memory and the device's, one way."""
    sizes = [16 * MIB, 64 * MIB, 256 * MIB] if device.is_gpu else [1 * MIB]

    def prepare(size: int) -> tuple[Callable[[], object], float]:
        host = torch.arange(size // 8).view(torch.uint8)
        if device.is_gpu:
            host = host.pin_memory()
        there = host.to(device.name, copy=True)
        result.checked += size
        result.wrong += int((there.cpu() != host).sum())
        source, target = (host, there) if to_gpu else (there, host)
        return lambda: target.copy_(source, non_blocking=True), size / 1e9

    best = _sweep(device, sizes, prepare, seconds * 0.7, result)
    _sustain(device, *prepare(best), seconds * 0.3, result)


def _pattern(device: Device, seconds: float, result: Result) -> None:
    """Most of the memory at once: written full of each pattern and read again, as often as time allows."""
    chunk = 256 * MIB if device.is_gpu else 1 * MIB
    count = max(1, min(int(device.memory * 0.85) // chunk - 2, 4096 if device.is_gpu else 4))
    chunks = [torch.empty(chunk, dtype=torch.uint8, device=device.name) for _ in range(count)]
    began = time.perf_counter()
    for done, pattern in enumerate(itertools.cycle(PATTERNS), 1):
        _fill(chunks, pattern, result)
        result.checked += count * chunk
        spent = time.perf_counter() - began
        if spent / done * (done + 1) > seconds:
            break
    result.best = result.sustained = 2.0 * result.checked / 1e9 / spent
    result.sizes = {f"{count * chunk // MIB} MiB, {done} patterns": result.best}


def _fill(chunks: Sequence[Any], pattern: int | None, result: Result) -> None:
    """Write one pattern everywhere, then read it everywhere."""
    for number, each in enumerate(chunks):
        _write(each, number, pattern)
    for number, each in enumerate(chunks):
        wrong = _wrong(each, number, pattern)
        result.wrong += wrong
        if wrong and not result.note:
            size = each.numel() // MIB
            result.note = f"first in MiB {number * size} to {(number + 1) * size} of what was tested"


def _numbers(words: Any, number: int) -> Any:
    """A number for each word, another in each chunk: a line that two addresses share is seen."""
    return torch.arange(words.numel(), dtype=torch.int64, device=words.device).mul_(2654435761).add_(number)


def _write(chunk: Any, number: int, pattern: int | None) -> None:
    if pattern is None:
        chunk.view(torch.int64).copy_(_numbers(chunk.view(torch.int64), number))
    else:
        chunk.fill_(pattern)


def _wrong(chunk: Any, number: int, pattern: int | None) -> int:
    if pattern is None:
        words = chunk.view(torch.int64)
        return int((words != _numbers(words, number)).sum())
    return int((chunk != pattern).sum())


def _sweep(
    device: Device,
    sizes: Sequence[int],
    prepare: Callable[[int], tuple[Callable[[], object], float]],
    seconds: float,
    result: Result,
) -> int:
    """Measure each size, and return the fastest."""
    for size in sizes:
        work, amount = prepare(size)
        result.sizes[str(size)] = amount / _seconds_each(device, work, seconds / len(sizes))
    best = max(result.sizes, key=lambda size: result.sizes[size])
    result.best = result.sizes[best]
    return int(best)


def _seconds_each(device: Device, work: Callable[[], object], seconds: float) -> float:
    """How long one piece of work takes: the median of a few windows of many pieces, the first ones not counted."""
    end = time.perf_counter() + seconds
    work()
    once = _window(device, work, 1)
    count = max(1, int(min(WINDOW_SECONDS, seconds / ROUNDS) / max(once, 1e-7)))
    found = [_window(device, work, count)]
    while len(found) < ROUNDS and time.perf_counter() < end:
        found.append(_window(device, work, count))
    return statistics.median(found)


def _window(device: Device, work: Callable[[], object], count: int) -> float:
    device.wait()
    began = time.perf_counter()
    for _ in range(count):
        work()
    device.wait()
    return (time.perf_counter() - began) / count


def all_reduce(rank: int, world: int, master: str, backend: str, seconds: float) -> Result:
    """This process's part of a sum over all; the rate is what each link carries, as NCCL's tests reckon it.

    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md: 2 (n - 1) / n bytes for each byte summed.
    """
    import datetime

    from torch import distributed

    device = torch.device(f"cuda:{rank}") if backend == "nccl" else torch.device("cpu")
    if backend == "nccl":
        torch.cuda.set_device(device)
    os.environ.setdefault("USE_LIBUV", "0")  # Debian's torch is built without
    limit = datetime.timedelta(seconds=seconds + 120)  # until the last one has imported torch, too
    distributed.init_process_group(backend, init_method=f"tcp://{master}", rank=rank, world_size=world, timeout=limit)
    try:
        result = Result(f"rank {rank}", backend, f"all_reduce_{backend}", "GB/s")
        for mib in (1, 16, 256) if backend == "nccl" else (1, 8):
            _sum(distributed, device, mib * MIB // 4, world, seconds / 3, result)
        result.best = result.sustained = max(result.sizes.values())
        return result
    finally:
        if backend == "nccl":  # gloo's end waits for ever now and then (torch 2.6), and what was measured with it
            distributed.destroy_process_group()


def _sum(distributed: Any, device: Any, count: int, world: int, seconds: float, result: Result) -> None:
    """Sum one size as often as all agree on, and look at the result: each gives its rank + 1."""
    given = float(result.gpu.removeprefix("rank ")) + 1
    values = torch.full((count,), given, device=device)
    distributed.all_reduce(values)
    result.checked += count
    result.wrong += int((values != world * (world + 1) / 2).sum())
    began = time.perf_counter()
    rounds = max(1, min(20, int(seconds)))  # the same for all, whatever their clocks say
    for _ in range(rounds):
        distributed.all_reduce(values.fill_(given))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    spent = (time.perf_counter() - began) / rounds
    result.sizes[f"{count * 4 // MIB} MiB"] = 2 * (world - 1) / world * count * 4 / 1e9 / spent


def _gpu_process(rank: int, world: int, master: str, seconds: float, results: Any) -> None:
    results.put(asdict(all_reduce(rank, world, master, "nccl", seconds)))


def all_reduce_gpus(count: int, seconds: float) -> list[Result]:
    """A process for each GPU of this machine, by NCCL."""
    from torch import multiprocessing

    results = multiprocessing.get_context("spawn").SimpleQueue()
    port = 20000 + os.getpid() % 20000
    arguments = (count, f"127.0.0.1:{port}", seconds, results)
    multiprocessing.spawn(_gpu_process, arguments, nprocs=count, join=True)
    return [Result(**results.get()) for _ in range(count)]


def run(options: argparse.Namespace) -> tuple[list[Result], str]:
    """What was asked for: results, and why there are none."""
    torch.set_float32_matmul_precision("high")  # of this process: products of 32 bits by TF32
    if options.verb == "all-reduce":
        return [all_reduce(options.rank, options.world, options.master, "gloo", options.seconds)], ""
    try:
        found = [processors()] if options.device == "cpu" else devices()
    except (RuntimeError, AssertionError) as error:
        return [], f"CUDA cannot be initialised: {str(error).splitlines()[0]}"
    if options.verb == "all-reduce-gpus":
        return (all_reduce_gpus(len(found), options.seconds), "") if len(found) > 1 else ([], "one GPU alone")
    with ThreadPoolExecutor(max(1, len(found))) as pool:
        seconds = options.seconds - (time.perf_counter() - BEGAN)
        tested = list(pool.map(lambda device: test(device, seconds, _say), found))
    return [result for results in tested for result in results], "" if found else "CUDA sees no GPU"


def _say(result: Result) -> None:
    rate = f"{result.best:.1f} {result.unit}" if result.best is not None else result.note
    _line(sys.stderr, f"{result.gpu} {result.test}: {rate}, {result.wrong} wrong of {result.checked}")
    _line(sys.stdout, json.dumps(asdict(result)))


def _line(stream: TextIO, text: str) -> None:
    """In one piece: print writes a line's end apart, and another GPU's thread may come in between."""
    stream.write(f"{text}\n")
    stream.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and print what came of it; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["gpus", "all-reduce", "all-reduce-gpus"])
    parser.add_argument("--seconds", type=float, default=60, help="for all tests together")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu runs the same on processors")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--master", default="127.0.0.1:29500", help="ADDRESS:PORT of rank 0")
    options = parser.parse_args(arguments)
    if torch is None:
        told: dict[str, object] = {"torch": None, "cuda": None, "reason": "this Python has no torch", "results": []}
        print(json.dumps(told))
        return 1
    results, reason = run(options)
    found = [asdict(result) for result in results]
    print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "reason": reason, "results": found}))
    return int(any(result.wrong for result in results))


if __name__ == "__main__":
    sys.exit(main())
