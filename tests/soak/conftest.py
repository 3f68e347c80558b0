"""What the soak tests share: the seed of the e2e tests, and a lab that is raised fresh for each attempt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures import seed
from site_under_test import Lab, Site

__all__ = ["fresh", "seed"]

LAB = Lab("soak")


@pytest.fixture
def fresh() -> Iterator[Site]:
    """site.yml and two fresh hosts, n2 with GPUs; two show all that three do, and leave time for more attempts."""
    LAB("down")
    LAB("up", "--host", "n1", "--host", "n2,gpus=H100-80GBx2", timeout=3600)
    LAB("share", "n1")
    yield Site(LAB)
    LAB("down")
