"""Versions of models at MLflow's registry, and which of them is served: the one with the alias `champion`."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlstack import model_card, registry_lock, tracking
from mlstack.config import Config
from mlstack.errors import MlstackError, UsageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
GATES = "mlstack.gates"
"""The tag of a version that says how it was judged: `passed`, or `first` where there was nothing to compare it with."""
JUDGED_AGAINST = "mlstack.judged_against"
"""The tag that names the champion of that time by its version, or is empty."""


@dataclass(frozen=True)
class Version:
    """A version of a model.

    number    as the registry counts them
    run_id    of the run that made it, as MLflow names it; `run_name` is ours
    kind      of the model (model_card.Kind)
    gates     "passed", "first", or "" where nobody judged it
    against   the number of the champion that it was judged against
    aliases   that it has now
    """

    name: str
    number: str
    run_id: str
    run_name: str
    data_md5: str
    git_commit: str
    kind: str
    gates: str = ""
    against: str = ""
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} version {self.number} ({self.run_name})"


def champion(config: Config) -> Version | None:
    """The version that is served."""
    return by_alias(config, CHAMPION)


def by_alias(config: Config, alias: str) -> Version | None:
    """The version that has an alias."""
    with told() as client:
        return _by_alias(client, config.model.name, alias)


def version(config: Config, wanted: str) -> Version:
    """The version of a number, an alias or a run name. Raises UsageError where there is none."""
    for found in versions(config):
        if wanted in (found.number, found.run_name, *found.aliases):
            return found
    raise UsageError(
        f"the registry has no version of {config.model.name} that {wanted!r} names",
        "Give a number, an alias (champion, challenger, previous) or a run name; mlstack register makes versions.",
    )


def versions(config: Config) -> list[Version]:
    """All versions, oldest first."""
    with told() as client:
        aliases = _aliases(client, config.model.name)
        found = client.search_model_versions(f"name = '{config.model.name}'")
    made = [_version(one, aliases) for one in found]
    return sorted(made, key=lambda one: int(one.number))


def register(config: Config, run_name: str, tags: Mapping[str, str] | None = None) -> Version:
    """Make a run's model a version; a run that has one already keeps it, and its tags are renewed.

    Raises:
        UsageError: where MLflow knows no such run, or the run has not ended, or has no model.
    """
    with told() as client:
        run_id = tracking.run_id(config, run_name)
        if client.get_run(run_id).info.status != "FINISHED":  # its model may be on the way still
            raise UsageError(f"run {run_name} did not end at MLflow", "Run it again: what was kept is sent, too.")
        card = _card(run_id, run_name)
    noted = {
        "run_name": run_name, "data.md5": card.data_md5, "git.commit": card.git_commit, "kind": card.kind,
        "labels": ",".join(card.labels), **(tags or {}),
    }  # fmt: skip
    known = next((one for one in versions(config) if one.run_name == run_name), None)
    with told() as client:
        if known is None:
            number = _make(client, config.model.name, run_id, noted)
        else:
            number = known.number
            for name, value in noted.items():
                client.set_model_version_tag(config.model.name, number, name, value)
    return version(config, number)


def mark(config: Config, chosen: Version, alias: str) -> None:
    """Give a version an alias other than champion; that one goes by `promote`."""
    with told() as client:
        client.set_registered_model_alias(config.model.name, alias, chosen.number)


def promote_judged(config: Config, chosen: Version, *, force: bool = False) -> Version:
    """Make a version the champion if it passed the gates against the champion of now, or in any case by force.

    Raises:
        UsageError: where nobody judged it.
        MlstackError: where it was judged against another champion.
    """
    now = champion(config)
    if force:
        return promote(config, chosen, now)
    if not chosen.gates:
        raise UsageError(f"{chosen} passed no gates", "Run mlstack evaluate and register; or promote it by --force.")
    return promote(config, chosen, version(config, chosen.against) if chosen.against else None)


def promote(config: Config, chosen: Version, expected: Version | None) -> Version:
    """Make a version the champion, if `expected` still is; the old one becomes `previous`.

    Raises:
        MlstackError: where another version became champion meanwhile; it is named.
    """
    name = config.model.name
    with told() as client, registry_lock.hold(client, name, chosen.number):
        now = _by_alias(client, name, CHAMPION)
        if (now and now.number) == chosen.number:
            return version(config, chosen.number)
        if (now and now.number) != (expected and expected.number):
            raise MlstackError(
                f"{chosen} was not promoted: {now or 'no version'} is the champion now, not {expected or 'none'}",
                "Run mlstack evaluate and register again, which compare with the champion of now; or promote --force.",
            )
        if now:
            client.set_registered_model_alias(name, PREVIOUS, now.number)
        client.set_registered_model_alias(name, CHAMPION, chosen.number)
        challenger = _by_alias(client, name, CHALLENGER)
        if challenger and challenger.number == chosen.number:
            client.delete_registered_model_alias(name, CHALLENGER)
    return version(config, chosen.number)


def rollback(config: Config) -> Version:
    """Make the previous champion the champion again; the one rolled back becomes `previous`, so it can be undone.

    Raises:
        UsageError: where there was no champion before.
    """
    before = by_alias(config, PREVIOUS)
    now = champion(config)
    if before is None or (now and now.number == before.number):
        raise UsageError(
            f"{config.model.name} has no champion before {now or 'any'}", "Promote a version: mlstack promote --help."
        )
    return promote(config, before, now)


def fetch(config: Config, chosen: Version) -> Path:
    """A version's model as a folder on this machine; it is fetched once, whole or not at all.

    Raises:
        MlstackError: where it cannot be fetched.
    """
    folder = config.platform.state / "models" / f"{chosen.name}-{chosen.number}-{chosen.run_id[:8]}"
    if (folder / model_card.FILE).is_file():
        return folder
    import mlflow

    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as partial, told():
        uri = f"runs:/{chosen.run_id}/model"
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=partial))
        model_card.read(found)
        try:
            found.replace(folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:  # another process was faster
                raise
    return folder


def _card(run_id: str, run_name: str) -> model_card.ModelCard:
    """The card of a run's model, which is its artifact `model`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{run_id}/model/{model_card.FILE}")
    except (MlflowException, OSError):
        raise UsageError(f"run {run_name} has no model at MLflow", "Train it to its end first.") from None
    return model_card.read(Path(found).parent)


def _make(client: MlflowClient, name: str, run_id: str, tags: Mapping[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return str(client.create_model_version(name, f"runs:/{run_id}/model", run_id, dict(tags)).version)


def _by_alias(client: MlflowClient, name: str, alias: str) -> Version | None:
    aliases = _aliases(client, name)
    if alias not in aliases:
        return None
    return _version(client.get_model_version(name, aliases[alias]), aliases)


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """The number that each alias names."""
    from mlflow.exceptions import MlflowException

    try:
        return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


def _version(found: Any, aliases: Mapping[str, str]) -> Version:
    tags = found.tags
    return Version(
        found.name,
        str(found.version),
        found.run_id,
        tags.get("run_name", ""),
        tags.get("data.md5", ""),
        tags.get("git.commit", ""),
        tags.get("kind", ""),
        tags.get(GATES, ""),
        tags.get(JUDGED_AGAINST, ""),
        tuple(sorted(alias for alias, number in aliases.items() if number == str(found.version))),
    )


@contextmanager
def told() -> Iterator[MlflowClient]:
    """MLflow's client; what MLflow refuses, or that it does not answer, is an error of ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield tracking.mlflow_client()
    except (MlflowException, OSError) as error:
        raise MlstackError(
            f"MLflow's registry failed: {str(error).splitlines()[0]}", "Look whether MLflow runs; mlstack doctor."
        ) from None
