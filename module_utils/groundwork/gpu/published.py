"""What package repositories have, asked before anything is changed: no driver comes of a branch that they lack.

The vendor's repository is read as it lies on its server, since no host knows it yet. Ubuntu's archive is asked through
apt; where apt's lists are missing or older than the branch, they are read anew into a directory of their own, so that
the host's stay as they are.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import urllib.error
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork import mirror
from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError

COMMAND_SECONDS = 30.0
UPDATE_SECONDS = 300.0
DOWNLOAD_SECONDS = 60.0
LIMIT_BYTES = 256 * 1024 * 1024
Fetch = Callable[[str], bytes]
PINNING = re.compile(r"nvidia-driver-pinning-(\d+)")
OF_NO_BRANCH = {"nvlsm"}
"""NVLink Subnet Manager has versions of its own, such as 2025.06.11."""
HEADLESS = re.compile(r"nvidia-headless-no-dkms-(\d+)-server(?:-open)?")


@dataclass(frozen=True)
class Published:
    """Packages of a repository: versions by name."""

    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def branches(self) -> list[int]:
        """The driver branches that are there whole, by the packages that pin them or, in Ubuntu, name them."""
        found = (PINNING.fullmatch(name) or HEADLESS.fullmatch(name) for name in self.versions)
        return sorted({int(match[1]) for match in found if match})

    def missing(self, names: Iterable[str], branch: str) -> list[str]:
        """Those of the packages that are not there in this branch; names with the branch have it in any version."""
        return [name for name in names if not self._has(name, branch)]

    def _has(self, name: str, branch: str) -> bool:
        versions = self.versions.get(name, ())
        if name in OF_NO_BRANCH:
            return bool(versions)
        return any(re.search(rf"-{branch}\b", name) or version.startswith(f"{branch}.") for version in versions)


def of_repository(url: str, fetch: Fetch | None = None) -> Published:
    """What a flat repository, as NVIDIA's are, says that it has.

    Raises GroundworkError where it does not answer, with its address.
    """
    get = fetch or _download
    try:
        try:
            return parse(gzip.decompress(get(f"{url}Packages.gz")).decode())
        except urllib.error.HTTPError:
            return parse(get(f"{url}Packages").decode())
    except (OSError, EOFError, ValueError) as error:
        raise GroundworkError(
            f"{url} does not tell its packages: {error}",
            "Let the host reach it, or name the site's mirror in site_mirror_apt_nvidia_driver_url.",
        ) from error


def parse(text: str) -> Published:
    """The packages of a Packages file: paragraphs of `Package: NAME` and `Version: VERSION`."""
    versions: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in text.splitlines():
        if line.startswith("Package: "):
            name = line.removeprefix("Package: ").strip()
        elif line.startswith("Version: "):
            versions[name].append(line.removeprefix("Version: ").strip())
    return Published({name: tuple(found) for name, found in versions.items()})


def of_archive(run: Run, names: Sequence[str], branch: str) -> Published:
    """What apt's sources have of packages that name a branch, and of the drivers of other branches."""
    known = _madison(run, names, ())
    if not known.missing(names, branch):
        return known
    with tempfile.TemporaryDirectory(prefix="groundwork-apt-") as folder:
        options = _private(Path(folder))
        run(["apt-get", "--quiet=2", *options, "update"], UPDATE_SECONDS)
        return _madison(run, names, options)


def _madison(run: Run, names: Sequence[str], options: Sequence[str]) -> Published:
    """`apt-cache madison` of the packages and of all branches' drivers: lines of `NAME | VERSION | SOURCE`."""
    others = run(["apt-cache", *options, "pkgnames", "nvidia-headless-no-dkms-"], COMMAND_SECONDS).stdout.split()
    wanted = sorted({*names, *others})
    lines = run(["apt-cache", *options, "madison", *wanted], COMMAND_SECONDS).stdout.splitlines()
    versions: dict[str, list[str]] = defaultdict(list)
    for row in (line.split("|") for line in lines if line.count("|") == 2):
        versions[row[0].strip()].append(row[1].strip())
    return Published({name: tuple(found) for name, found in versions.items()})


def _private(folder: Path) -> list[str]:
    """Options that keep apt's lists and caches below a folder. Root downloads: nobody else may write there."""
    for name in ("lists", "cache"):
        (folder / name / "partial").mkdir(parents=True)
    places = {"Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root"}
    return [word for key, value in places.items() for word in ("-o", f"{key}={value}")]


def _download(url: str) -> bytes:
    return mirror.download(url, DOWNLOAD_SECONDS, LIMIT_BYTES)
