"""Versions of a data set, kept by DVC: beside the folder lies NAME.dvc, which git keeps and which names the content."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlstack.config import Data
from mlstack.errors import MlstackError, UsageError

if TYPE_CHECKING:
    from dvc.repo import Repo


def version(data: Data) -> str:
    """The name that DVC gives the content which the project wants. Raises UsageError where there is none."""
    pointer = _pointer(data)
    try:
        return str(yaml.safe_load(pointer.read_text())["outs"][0]["md5"])
    except OSError:
        raise UsageError(
            f"{pointer} is missing: {data.folder} has no version", "Make one by `mlstack data add`."
        ) from None
    except (yaml.YAMLError, LookupError, TypeError):
        raise UsageError(f"{pointer} is no file of DVC's", "Take it from git again: git checkout -- FILE") from None


def content(folder: Path) -> str:
    """The name that DVC would give what lies in a folder now; every byte is read, no cached answer is believed."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()  # type: ignore[no-untyped-call]
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            tree.add(file.relative_to(folder).parts, None, HashInfo("md5", _md5(file)))
    tree.digest()
    return str(tree.hash_info.value)


def add(data: Data) -> str:
    """Make what lies in the folder a version, and push it where there is a remote; returns its name."""
    with _repository(data) as repository:
        repository.add(str(data.folder))
        if _remote(repository, data):
            repository.push(targets=[str(_pointer(data))], remote=data.remote or None)
    return version(data)


def pull(data: Data) -> str:
    """Make the folder hold the version that the project wants, out of the cache or the remote; returns its name.

    Raises:
        UsageError: where there is no remote to pull from, or it refuses.
        MlstackError: where an object is missing or is not what its name says. The folder stays as it was.
    """
    wanted = version(data)
    with _repository(data) as repository:
        _drop_damaged(repository, wanted)
        if _remote(repository, data):
            _fetch(repository, data, wanted)
        repository.checkout(targets=[str(_pointer(data))], force=True)
    found = content(data.folder)
    if found != wanted:
        raise MlstackError(
            f"{data.folder} holds {found} after the pull, not {wanted}", "Run it again; DVC's cache was damaged."
        )
    return found


def verify_remote(data: Data) -> None:
    """Pull the version into an empty cache; MlstackError where an object is missing or damaged."""
    with (
        tempfile.TemporaryDirectory(prefix="mlstack-verify-") as cache,
        _repository(data, {"cache": {"dir": cache}}) as repository,
    ):
        if not _remote(repository, data):
            raise UsageError(
                "there is no DVC remote to verify", "Name one: dvc remote add --default NAME URL, or platform.kind."
            )
        _fetch(repository, data, version(data))


def ask_remote(data: Data) -> str:
    """The address of the remote, which answers; "" where there is none. Raises MlstackError where it does not."""
    with _repository(data) as repository:
        if not _remote(repository, data):
            return ""
        remote = repository.cloud.get_remote(data.remote or None)
        remote.fs.exists(remote.path)
        return str(repository.config["remote"][_remote(repository, data)]["url"])


def _pointer(data: Data) -> Path:
    return data.folder.with_name(f"{data.folder.name}.dvc")


@contextmanager
def _repository(data: Data, config: dict[str, Any] | None = None) -> Iterator[Repo]:
    """The project's repository, whose remotes compare what they give with its name; DVC's errors as ours."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # its hints about git would stand among our results
    try:
        with Repo() as plain:
            remotes = {name: {"verify": True} for name in plain.config["remote"]}
        # Without `verify` DVC pulls a damaged object and calls it clean.
        with Repo(config={"remote": remotes, **(config or {})}) as repository:
            yield repository
    except NotDvcRepoError:
        raise UsageError("this is no project of DVC's", "Run `dvc init` (or `dvc init --subdir`) here once.") from None
    except (DvcException, OSError) as error:
        raise MlstackError(
            f"{data.folder}: {' '.join(str(error).split())}",
            "Where the remote's object is missing or damaged, push it again from a machine that has the data.",
        ) from error


def _remote(repository: Repo, data: Data) -> str:
    """The name of the remote, "" where there is none."""
    name: str = data.remote or repository.config["core"].get("remote", "")
    if data.remote and data.remote not in repository.config["remote"]:
        raise UsageError(
            f"data.remote: DVC knows no remote {data.remote!r}",
            f"Known: {', '.join(repository.config['remote']) or 'none'}.",
        )
    return name


def _fetch(repository: Repo, data: Data, wanted: str) -> None:
    """Fetch a version into the cache; DVC drops a damaged object without a word, so what is missing is looked for."""
    repository.fetch(targets=[str(_pointer(data))], remote=data.remote or None)
    cache = repository.cache.local
    missing = [
        file for file, name in _listing(repository, wanted).items() if not Path(cache.oid_to_path(name)).exists()
    ]
    if missing:
        raise MlstackError(
            f"{data.folder}: the remote's object of {', '.join(missing[:3])} is missing or damaged",
            "Push it again from a machine that has the data: remove it there first, `dvc push` keeps what is there.",
        )


def _listing(repository: Repo, wanted: str) -> dict[str, str]:
    """By file of a version: its object's name; none where the listing itself is not in the cache."""
    listing = Path(repository.cache.local.oid_to_path(wanted))
    return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text())} if listing.exists() else {}


def _drop_damaged(repository: Repo, wanted: str) -> None:
    """Remove cached objects that are not what their name says: DVC would check them out as they are."""
    cache = repository.cache.local
    for name in (*_listing(repository, wanted).values(), wanted):
        path = Path(cache.oid_to_path(name))
        if path.exists() and _md5(path) != name.removesuffix(".dir"):
            path.unlink()


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()
