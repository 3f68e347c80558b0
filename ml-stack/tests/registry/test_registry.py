"""The registry: versions, the champion, and two who want to change it at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlstack import model_card, registry, registry_lock, tracking
from mlstack.config import Config
from mlstack.errors import MlstackError, UsageError

PASSED = {registry.GATES: "passed", registry.JUDGED_AGAINST: "1"}


@pytest.fixture
def three(embedded: Config, make_run: Callable[[str], str]) -> list[registry.Version]:
    """Three versions: the first is the champion, the others were judged against it."""
    made = [registry.register(embedded, make_run("baseline-1"), {registry.GATES: "first"})]
    made += [registry.register(embedded, make_run(name), PASSED) for name in ("train-2", "train-3")]
    registry.promote(embedded, made[0], None)
    return made


@pytest.mark.slow
def test_a_registry_without_versions_has_no_champion(embedded: Config) -> None:
    assert registry.champion(embedded) is None
    assert registry.versions(embedded) == []
    with pytest.raises(UsageError, match="no champion before any"):
        registry.rollback(embedded)
    with pytest.raises(UsageError, match="knows no run train-9"):
        registry.register(embedded, "train-9")


@pytest.mark.slow
def test_versions_are_made_promoted_rolled_back_and_fetched(embedded: Config, three: list[registry.Version]) -> None:
    first, second, third = three
    assert (first.number, first.run_name, first.kind, first.git_commit) == (
        "1",
        "baseline-1",
        "tfidf-linear",
        "c0ffee00",
    )
    assert registry.register(embedded, "train-2").number == "2", "a run has one version"
    registry.mark(embedded, second, registry.CHALLENGER)

    assert registry.promote_judged(embedded, second).aliases == ("champion",)
    assert registry.by_alias(embedded, "previous") == registry.version(embedded, "1")
    with pytest.raises(MlstackError, match=r"version 3 .* was not promoted: .* version 2 \(train-2\) is the champion"):
        registry.promote_judged(embedded, third)

    assert registry.rollback(embedded).number == "1"
    assert registry.rollback(embedded).number == "2", "a rollback can be undone"
    assert registry.promote_judged(embedded, third, force=True).number == "3"

    folder = registry.fetch(embedded, second)
    assert model_card.read(folder).run_name == "train-2"
    (folder / "kept").touch()
    assert (registry.fetch(embedded, second) / "kept").exists(), "fetched once"


@pytest.mark.slow
def test_what_nobody_judged_is_not_promoted(embedded: Config, make_run: Callable[[str], str]) -> None:
    made = registry.register(embedded, make_run("train-1"))
    with pytest.raises(UsageError, match="passed no gates"):
        registry.promote_judged(embedded, made)
    assert registry.champion(embedded) is None


@pytest.mark.slow
def test_of_two_promotes_at_once_one_wins_and_the_other_names_the_winner(
    embedded: Config, three: list[registry.Version]
) -> None:
    def outcome(chosen: registry.Version) -> str:
        try:
            return registry.promote_judged(embedded, chosen).number
        except MlstackError as error:
            return error.message

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(outcome, three[1:]))

    winner = registry.champion(embedded)
    assert winner is not None
    assert winner.number in outcomes
    (lost,) = [one for one in outcomes if one != winner.number]
    assert f"{winner} is the champion now" in lost
    assert not [tag for tag in _tags(embedded) if tag.startswith(registry_lock.TAG)], "nobody holds the lock any more"


@pytest.mark.slow
def test_a_promote_gives_up_where_another_goes_on_for_long(
    embedded: Config, three: list[registry.Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_lock, "PATIENCE_SECONDS", 0.0)
    client = tracking.mlflow_client()
    with (
        registry_lock.hold(client, embedded.model.name, "3"),
        pytest.raises(MlstackError, match="version 3 is being promoted"),
    ):
        registry.promote_judged(embedded, three[1])
    client.set_registered_model_tag(embedded.model.name, f"{registry_lock.TAG}killed", "3 1000")
    assert registry.promote_judged(embedded, three[1]).number == "2", "a killed process holds it for a while only"


@pytest.mark.slow
def test_a_damaged_model_is_not_fetched(embedded: Config, three: list[registry.Version]) -> None:
    (card,) = Path(embedded.platform.state).glob(f"artifacts/{three[1].run_id}/artifacts/model/{model_card.FILE}")
    card.write_text("{")
    with pytest.raises(UsageError, match="missing or damaged"):
        registry.fetch(embedded, three[1])
    assert registry.fetch(embedded, three[0]).is_dir()


def _tags(embedded: Config) -> dict[str, str]:
    found: dict[str, str] = tracking.mlflow_client().get_registered_model(embedded.model.name).tags
    return found
