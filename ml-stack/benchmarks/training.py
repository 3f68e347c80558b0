"""What the loop costs beside a bare one, and what tracking costs beside none: MiniLM, texts of news wires' lengths.

python benchmarks/training.py --pairs 20
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from pairs import compare, interval
from torch import nn

from mlstack import platform, tracking
from mlstack.config import Training, parse
from mlstack.training.classifier import TextClassification
from mlstack.training.loop import ALONE, Loop
from mlstack.training.packing import collate

MOST_STEP, TRACKING = 1.025, (0.98, 1.02)
Report = Callable[[Mapping[str, float], int], None]


def task(steps: int) -> tuple[TextClassification, Training]:
    """A task whose epoch has so many steps."""
    dice = torch.Generator().manual_seed(1)
    words = ["wheat", "bank", "the", "of", "rose", "mln", "dlrs", "said", "oil", "ship"]
    count = steps * 20
    texts = [
        " ".join(words[number] for number in torch.randint(0, len(words), (length,), generator=dice).tolist())
        for length in torch.randint(20, 130, (count,), generator=dice).tolist()
    ]
    labels = [f"label {number % 8}" for number in range(count)]
    config = parse({"training": {"epochs": 1, "batch_tokens": 2048}, "model": {"max_tokens": 128}})
    splits = {"train": (texts, labels), "validation": (texts[:8], labels[:8])}
    return TextClassification(config, splits, torch.device("cpu")), config.training


def ours(made: TextClassification, training: Training, steps: int, report: Report) -> float:
    """Seconds of our loop's steps."""
    loop = Loop(made, training, torch.device("cpu"), ALONE, report, None)
    loop.steps = loop.steps[: steps + 1]
    made.model.train()
    began = time.perf_counter()
    for step in loop.steps[:steps]:
        loop.learn(step)
    return time.perf_counter() - began


def bare(made: TextClassification, training: Training, steps: int) -> float:
    """Seconds of the same steps, as plain as they can be written."""
    plan = Loop(made, training, torch.device("cpu"), ALONE, lambda _metrics, _step: None, None).steps[:steps]
    optimizer = torch.optim.AdamW(made.groups(), fused=True)
    made.model.train()
    began = time.perf_counter()
    for step in plan:
        batch = collate(step.rows, made.train.tokens, training.row_tokens)
        targets = torch.tensor([made.train.targets[text] for text in batch.texts])
        loss = nn.functional.cross_entropy(made.model(batch), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(made.model.parameters(), training.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
    return time.perf_counter() - began


def main() -> int:
    """Compare, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    made, training = task(options.steps + 2)

    def silent(_metrics: Mapping[str, float], _step: int) -> None:
        """Nobody hears."""

    def untold() -> float:
        return ours(made, training, options.steps, silent)

    step = interval(compare(untold, lambda: bare(made, training, options.steps), options.pairs))
    with tempfile.TemporaryDirectory() as folder:
        config = parse({"platform": {"state": str(Path(folder) / "state")}})
        platform.connect(config)
        with tracking.begin(config, "benchmark") as run:
            told = interval(compare(lambda: ours(made, training, options.steps, run.log), untold, options.pairs))
    ok = step[0] <= MOST_STEP and TRACKING[0] <= told[1] and told[2] <= TRACKING[1]
    print(json.dumps({"pairs": options.pairs, "step_ratio": step, "tracking_ratio": told, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
