"""What Ray Serve costs: one door (serving/app.py), asked for /health through Serve and through uvicorn alone.

Pairs are interleaved, so that what else the machine does meets both; each pair gives a ratio, and what is told is the
median of the ratios with its 95 % interval by bootstrap.

    python benchmarks/serving.py --pairs 20
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairs import interval

from mlstack.config import Serving
from mlstack.serving import deploy
from mlstack.serving.keeper import Keeper, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOST_P50, LEAST_RATE = 6.0, 0.4
CLIENTS = 16


def door() -> FastAPI:
    """The door, without a model."""
    import numpy as np

    from mlstack.serving import app
    from mlstack.serving.following import Follower, Loaded
    from mlstack.serving.metrics import Metrics
    from mlstack.serving.schema import Model

    class Nothing:
        labels: tuple[str, ...] = ("nothing",)

        def predict(self, texts: Sequence[str]) -> Any:
            return np.ones((len(texts), 1), dtype=np.float32)

    loaded = Loaded(Model(name="n", version="1", run_name="", data_md5="", git_commit=""), Nothing())

    async def predict(texts: Sequence[str]) -> Any:
        return loaded, loaded.predictor.predict(texts)

    return app.build(Follower(lambda: "1", lambda _: loaded, "1", 60), predict, Serving(), Metrics("one"))


@contextmanager
def bare(port: int) -> Iterator[None]:
    """The door by uvicorn, in a process of its own, as Serve's are."""
    process = subprocess.Popen([sys.executable, __file__, "--bare", str(port)])
    try:
        if not wait("Starting uvicorn", lambda: is_up(port), 60):
            raise SystemExit("uvicorn does not start")
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def served(port: int) -> Iterator[None]:
    """The door by Serve."""
    from mlstack.serving.application import behind_serve

    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Path(folder) / "ray")
        serving = Serving(port=port)
        try:
            deploy.run(keeper, serving, lambda: behind_serve(by_value(), serving))
            yield
        finally:
            keeper.stop()


def by_value() -> Any:
    """`door` as replicas can have it, who cannot import this file."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[door.__module__])
    return door


def is_up(port: int) -> bool:
    """Whether the door answers."""
    try:
        asyncio.run(ask(port, 1, []))
    except OSError:
        return False
    return True


async def ask(port: int, times: int, seconds: list[float], until: float = float("inf")) -> None:
    """One client's requests, over one connection, and how long each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while len(seconds) < times and time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"port {port} answers {head!r}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        seconds.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


def p50(port: int, times: int) -> float:
    """The median of one client's requests, in seconds."""
    seconds: list[float] = []
    asyncio.run(ask(port, times, seconds))
    return statistics.median(seconds)


def rate(port: int, seconds: float) -> float:
    """Requests per second of 16 clients."""

    async def all_of_them() -> int:
        until = time.perf_counter() + seconds
        told: list[list[float]] = [[] for _ in range(CLIENTS)]
        await asyncio.gather(*(ask(port, sys.maxsize, one, until) for one in told))
        return sum(len(one) for one in told)

    began = time.perf_counter()
    count = asyncio.run(all_of_them())
    return count / (time.perf_counter() - began)


def compare(pairs: int, times: int, seconds: float, ports: tuple[int, int]) -> dict[str, Any]:
    """Both doors, one after the other, so many times."""
    took: list[tuple[float, float]] = []
    rates: list[tuple[float, float]] = []
    for port in ports:
        rate(port, seconds)  # warm
    for _ in range(pairs):
        took.append((p50(ports[0], times), p50(ports[1], times)))
        rates.append((rate(ports[0], seconds), rate(ports[1], seconds)))
    slower, more = [ours / plain for ours, plain in took], [ours / plain for ours, plain in rates]
    return {
        "pairs": pairs,
        "p50_ms": [round(1000 * statistics.median(side), 3) for side in zip(*took, strict=True)],
        "p50_ratio": [round(number, 2) for number in interval(slower)],
        "rate": [round(statistics.median(side)) for side in zip(*rates, strict=True)],
        "rate_ratio": [round(number, 3) for number in interval(more)],
        "ok": statistics.median(slower) <= MOST_P50 and statistics.median(more) >= LEAST_RATE,
    }


def main() -> int:
    """Compare, and print JSON: [ours, uvicorn's] and [ratio, from, to]."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--ports", type=int, nargs=2, default=(18100, 18101))
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        import uvicorn

        uvicorn.run(door(), port=options.bare, log_level="warning", access_log=False)
        return 0
    ports = tuple(options.ports)
    with bare(ports[1]), served(ports[0]):
        told = compare(options.pairs, options.requests, options.seconds, ports)
    print(json.dumps(told))
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
