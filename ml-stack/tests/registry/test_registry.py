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
def three(config: Config, make_run: Callable[[str], str]) -> list[registry.Version]:
    """Three versions: the first is the champion, the others were judged against it."""
    made = [registry.register(config, make_run("baseline-1"), {registry.GATES: "first"})]
    made += [registry.register(config, make_run(name), PASSED) for name in ("train-2", "train-3")]
    registry.promote(config, made[0], None)
    return made


def test_a_registry_without_versions_has_no_champion(config: Config) -> None:
    assert registry.champion(config) is None
    assert registry.versions(config) == []
    with pytest.raises(UsageError, match="no champion before any"):
        registry.rollback(config)
    with pytest.raises(UsageError, match="knows no run train-9"):
        registry.register(config, "train-9")


@pytest.mark.slow
def test_versions_are_made_promoted_rolled_back_and_fetched(config: Config, three: list[registry.Version]) -> None:
    first, second, third = three
    assert (first.number, first.run_name, first.kind, first.git_commit) == ("1", "baseline-1", "tfidf-linear", "c0ffee")
    assert registry.register(config, "train-2").number == "2", "a run has one version"
    registry.mark(config, second, registry.CHALLENGER)

    assert registry.promote_judged(config, second).aliases == ("champion",)
    assert registry.by_alias(config, "previous") == registry.version(config, "1")
    with pytest.raises(MlstackError, match=r"version 3 .* was not promoted: .* version 2 \(train-2\) is the champion"):
        registry.promote_judged(config, third)

    assert registry.rollback(config).number == "1"
    assert registry.rollback(config).number == "2", "a rollback can be undone"
    assert registry.promote_judged(config, third, force=True).number == "3"

    folder = registry.fetch(config, second)
    assert model_card.read(folder).run_name == "train-2"
    (folder / "kept").touch()
    assert (registry.fetch(config, second) / "kept").exists(), "fetched once"


@pytest.mark.slow
def test_what_nobody_judged_is_not_promoted(config: Config, make_run: Callable[[str], str]) -> None:
    made = registry.register(config, make_run("train-1"))
    with pytest.raises(UsageError, match="passed no gates"):
        registry.promote_judged(config, made)
    assert registry.champion(config) is None


@pytest.mark.slow
def test_of_two_promotes_at_once_one_wins_and_the_other_names_the_winner(
    config: Config, three: list[registry.Version]
) -> None:
    def outcome(chosen: registry.Version) -> str:
        try:
            return registry.promote_judged(config, chosen).number
        except MlstackError as error:
            return error.message

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(outcome, three[1:]))

    winner = registry.champion(config)
    assert winner is not None
    assert winner.number in outcomes
    (lost,) = [one for one in outcomes if one != winner.number]
    assert f"{winner} is the champion now" in lost
    assert not [tag for tag in _tags(config) if tag.startswith(registry_lock.TAG)], "nobody holds the lock any more"


@pytest.mark.slow
def test_a_promote_gives_up_where_another_goes_on_for_long(
    config: Config, three: list[registry.Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_lock, "PATIENCE_SECONDS", 0.0)
    client = tracking.mlflow_client()
    with (
        registry_lock.hold(client, config.model.name, "3"),
        pytest.raises(MlstackError, match="version 3 is being promoted"),
    ):
        registry.promote_judged(config, three[1])
    client.set_registered_model_tag(config.model.name, f"{registry_lock.TAG}killed", "3 1000")
    assert registry.promote_judged(config, three[1]).number == "2", "a killed process holds it for a while only"


@pytest.mark.slow
def test_a_damaged_model_is_not_fetched(config: Config, three: list[registry.Version]) -> None:
    (card,) = Path(config.platform.state).glob(f"artifacts/{three[1].run_id}/artifacts/model/{model_card.FILE}")
    card.write_text("{")
    with pytest.raises(UsageError, match="missing or damaged"):
        registry.fetch(config, three[1])
    assert registry.fetch(config, three[0]).is_dir()


def _tags(config: Config) -> dict[str, str]:
    found: dict[str, str] = tracking.mlflow_client().get_registered_model(config.model.name).tags
    return found
