"""Where things lie."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ARTIFACTS = PROJECT / "artifacts"
"""The default of site_artifacts_directory: reports and kubeconfigs, a directory a cluster."""
