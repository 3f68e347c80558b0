"""Figures of the lab and of site.yml, measured on a lab of its own, and of module nvidia_gpu_info: `script/benchmark`.

Machines are noisy, so every figure is taken several times and shown as its median with its spread, and the last column
is the ratio to the first row, measured in the same run. Nothing is asserted here; the tests carry generous deadlines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "e2e"))

from site_under_test import Lab, Site, await_that

from tests import gpu_info_figures

LAB = Lab("benchmark")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(
        prog="script/benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3, help="how often each figure is taken (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=("gpu-info",), help="one part alone; gpu-info needs no lab")
    options = parser.parse_args(arguments)
    tables = [gpu_info_figures.figures(options.repeat)]
    if not options.only:
        LAB("down")
        try:
            tables.append(_measure(options.repeat))
        finally:
            LAB("down")
    if options.json:
        print(json.dumps({name: values for table in tables for name, values in table.items()}, indent=2))
    else:
        for table in tables:
            _print(table)
    return 0


def _measure(repeat: int) -> dict[str, list[float]]:
    site = Site(LAB)
    LAB("up", timeout=3600)  # builds what is missing, so that the figures are those of a warm cache
    LAB("down")
    figures = {"up: three hosts answer SSH, s": _timed(lambda: LAB("up"), repeat, between=lambda: LAB("down"))}
    figures["site.yml on fresh hosts, s"] = [_play(site)]
    figures["site.yml again, s"] = [_play(site) for _ in range(repeat)]
    figures["idle memory of the three hosts (PSS), MB"] = [_memory()]
    LAB("snapshot", "save", "ready")
    figures["snapshot restored until all nodes are Ready, s"] = _timed(lambda: _restore(site), repeat)
    return figures


def _timed(action: Callable[[], object], repeat: int, between: Callable[[], object] | None = None) -> list[float]:
    seconds = []
    for number in range(repeat):
        if between and number:
            between()
        began = time.monotonic()
        action()
        seconds.append(time.monotonic() - began)
    return seconds


def _play(site: Site) -> float:
    run = site.play()
    assert run.status == 0, run.tail
    return run.seconds


def _memory() -> float:
    status = json.loads(LAB("status", "--memory", "--json").stdout)
    return sum(float(host["memory_mib"]) for host in status["hosts"]) * 1.048576


def _restore(site: Site) -> None:
    LAB("snapshot", "restore", "ready")

    def ready() -> bool:
        return site.kubectl("get", "nodes", "--no-headers", check=False).count(" Ready") == 3

    await_that(ready, 300, "three nodes are Ready")


def _print(figures: dict[str, list[float]]) -> None:
    first = statistics.median(next(iter(figures.values())))
    print(f"{'figure':50} {'median':>8} {'lowest':>8} {'highest':>8} {'n':>3} {'ratio':>7}")
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{name:50} {median:8.3g} {min(values):8.3g} {max(values):8.3g} {len(values):3} {median / first:7.2f}")


if __name__ == "__main__":
    sys.exit(main())
