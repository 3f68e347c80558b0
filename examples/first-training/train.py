"""A small network learns which of several spirals a point is on. Plain torch: Ray and MLflow are job.py's."""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

HELD_OUT = 5
"""Every fifth point is kept to judge by."""
REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Params:
    """What params.yaml says.

    seconds  how long to train
    seed     of the first weights, and of the order of points
    """

    hidden: int
    layers: int
    learning_rate: float
    batch_size: int
    seconds: float
    seed: int


@dataclass(frozen=True)
class Points:
    """Places, of shape (points, 2), and the number of each one's spiral, from 0."""

    places: Tensor
    spirals: Tensor

    def to(self, device: str) -> Points:
        """The same on a device."""
        return Points(self.places.to(device), self.spirals.to(device))

    def __getitem__(self, index: Tensor | slice) -> Points:
        """Some of them."""
        return Points(self.places[index], self.spirals[index])


def read_params(path: Path) -> Params:
    """Read params.yaml. Raises ValueError for a name that is missing or unknown."""
    given = yaml.safe_load(path.read_text())
    names = {field.name for field in fields(Params)}
    if set(given) != names:
        raise ValueError(f"{path.name}: missing {sorted(names - set(given))}, unknown {sorted(set(given) - names)}")
    return Params(**given)


def read_points(path: Path) -> tuple[Points, Points]:
    """Read points.csv: those to learn from, and those to judge by."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    places = torch.tensor([[float(row["x"]), float(row["y"])] for row in rows])
    spirals = torch.tensor([int(row["spiral"]) for row in rows])
    held_out = torch.arange(len(rows)) % HELD_OUT == 0
    every = Points(places, spirals)
    return every[~held_out], every[held_out]


def network(params: Params, spirals: int) -> nn.Module:
    """Two numbers in, one for each spiral out: how much speaks for it."""
    sizes = [2, *[params.hidden] * params.layers]
    hidden = [part for one, other in itertools.pairwise(sizes) for part in (nn.Linear(one, other), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(params.hidden, spirals))


def train(
    params: Params,
    learn: Points,
    judge: Points,
    device: str,
    report: Callable[[Mapping[str, float], int], None],
    clock: Callable[[], float] = time.monotonic,
) -> nn.Module:
    """Train for as long as params say; `report` hears of loss and accuracy about once a second, with the epoch."""
    torch.manual_seed(params.seed)
    model = network(params, int(learn.spirals.max()) + 1).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=params.learning_rate)
    learn, judge = learn.to(device), judge.to(device)
    start = told = clock()
    epoch = 0
    while clock() - start < params.seconds or not epoch:
        epoch += 1
        loss = one_epoch(model, optimizer, learn, params.batch_size)
        if clock() - told >= REPORT_SECONDS:
            told = clock()
            report({"loss": loss, "accuracy": accuracy(model, judge)}, epoch)
    report({"loss": loss, "accuracy": accuracy(model, judge)}, epoch)
    return model.cpu()


def one_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, learn: Points, batch_size: int) -> float:
    """Learn once from every point; returns the mean loss."""
    model.train()
    total = 0.0
    for index in torch.randperm(len(learn.spirals), device=learn.spirals.device).split(batch_size):
        batch = learn[index]
        loss = nn.functional.cross_entropy(model(batch.places), batch.spirals)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(learn.spirals)


def accuracy(model: nn.Module, judge: Points) -> float:
    """The share of points whose spiral is found."""
    model.eval()
    with torch.no_grad():
        found = model(judge.places).argmax(dim=1)
    return float((found == judge.spirals).float().mean())
