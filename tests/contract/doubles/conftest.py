"""What tests of the doubles share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import packages
from tests.contract.doubles.nvidia_host import Host


@pytest.fixture(scope="session")
def driver() -> Path:
    """The driver's double, built."""
    return packages.driver_directory(packages.driver_versions()[0])


@pytest.fixture
def host(tmp_path: Path, driver: Path) -> Host:
    """A host with two H100."""
    return Host(tmp_path, driver)


@pytest.fixture
def plugged(tmp_path: Path, driver: Path) -> Callable[..., Host]:
    """Make a host with other GPUs: model, count, switches."""

    def plug(model: str, count: int = 1, switches: int = 0) -> Host:
        return Host(tmp_path / model, driver, model, count, switches)

    return plug
