"""The soak tests use the fixtures of the e2e tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from conftest import fresh_site, lab, seed, site  # noqa: E402,F401
