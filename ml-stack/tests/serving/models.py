"""A small real model's folder."""

from __future__ import annotations

from pathlib import Path

from mlstack import model_card

TEXTS = ["wheat and corn exports", "grain harvest", "oil prices", "crude barrels"]
LABELS = ("grain", "grain", "crude", "crude")


def make(folder: Path, strength: float = 10.0) -> Path:
    """A baseline of two labels; the run has the folder's name."""
    import skops.io
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    folder.mkdir()
    model = Pipeline([("tfidf", TfidfVectorizer()), ("model", LogisticRegression(C=strength))]).fit(TEXTS, LABELS)
    skops.io.dump(model, folder / "model.skops")
    model_card.ModelCard("tfidf-linear", folder.name, "d" * 32, "c" * 40, ("crude", "grain")).write(folder)
    return folder
