"""What package repositories have: NVIDIA's as they lie on a server, Ubuntu's by apt."""

from __future__ import annotations

import gzip
import urllib.error
from email.message import Message

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import published
from ansible.module_utils.groundwork.gpu.published import Published

from tests.unit.module_utils.fakes import Commands

URL = "https://mirror/cuda/debian12/x86_64/"
# Paragraphs in the form of that repository's index; names and versions as apt has them of it, branch 595 as in Ubuntu.
PACKAGES = """\
Package: nvidia-driver-pinning-580
Version: 580-5
Architecture: amd64
Description: APT driver pinning file for driver branch 580

Package: nvidia-driver-pinning-580.126.09
Version: 580.126.09-1
Architecture: amd64

Package: nvidia-kernel-open-dkms
Version: 580.95.05-1
Architecture: amd64

Package: nvidia-kernel-open-dkms
Version: 580.126.09-1
Architecture: amd64

Package: nvidia-kernel-open-dkms
Version: 595.71.05-1
Architecture: amd64

Package: nvidia-driver-pinning-595
Version: 595-1
Architecture: amd64

Package: nvlsm
Version: 2025.06.11-1
Architecture: amd64
"""
NAMES = ["nvidia-headless-no-dkms-580-server-open", "nvidia-utils-580-server"]
# In the form of `apt-cache madison`; names and versions as packages.ubuntu.com has them of noble.
MADISON = """\
nvidia-headless-no-dkms-535-server | 535.309.01-0ubuntu0.24.04.1 | http://mirror/ubuntu noble/restricted
nvidia-headless-no-dkms-580-server-open | 580.159.03-0ubuntu0.24.04.1 | http://mirror/ubuntu noble/restricted
 nvidia-utils-580-server | 580.159.03-0ubuntu0.24.04.1 | http://mirror/ubuntu noble/restricted
"""
PKGNAMES = "nvidia-headless-no-dkms-580-server-open\nnvidia-headless-no-dkms-535-server\n"


def test_a_repository_tells_its_packages() -> None:
    found = published.of_repository(URL, lambda _: gzip.compress(PACKAGES.encode()))
    assert found.branches == [580, 595]
    assert found.versions["nvidia-kernel-open-dkms"] == ("580.95.05-1", "580.126.09-1", "595.71.05-1")


@pytest.mark.parametrize(
    ("names", "branch", "missing"),
    [
        (["nvidia-driver-pinning-580", "nvidia-kernel-open-dkms"], "580", []),
        (["nvidia-driver-pinning-570"], "570", ["nvidia-driver-pinning-570"]),
        (["nvidia-kernel-open-dkms"], "570", ["nvidia-kernel-open-dkms"]),
        (["nvidia-driver-pinning-595", "nvidia-fabricmanager"], "595", ["nvidia-fabricmanager"]),
    ],
)
def test_a_branch_is_there_with_all_its_packages_or_not(names: list[str], branch: str, missing: list[str]) -> None:
    assert published.parse(PACKAGES).missing(names, branch) == missing


def refused(url: str) -> bytes:
    raise urllib.error.HTTPError(url, 404, "Not Found", Message(), None)


def test_a_repository_may_have_no_compressed_index() -> None:
    def fetch(url: str) -> bytes:
        return refused(url) if url.endswith(".gz") else PACKAGES.encode()

    assert published.of_repository(URL, fetch).branches == [580, 595]


def unreachable(_: str) -> bytes:
    raise urllib.error.URLError("timed out")


@pytest.mark.parametrize("fetch", [refused, unreachable, lambda _: b"<html>"])
def test_a_repository_that_does_not_tell_is_named_with_the_remedy(fetch: published.Fetch) -> None:
    with pytest.raises(GroundworkError, match="mirror/cuda/debian12") as raised:
        published.of_repository(URL, fetch)
    assert "site_mirror_apt_nvidia_driver_url" in raised.value.remedy


def test_ubuntus_archive_is_asked_by_apt() -> None:
    commands = Commands({"apt-cache pkgnames": Output(0, PKGNAMES), "apt-cache madison": Output(0, MADISON)})
    found = published.of_archive(commands, NAMES, "580")
    assert (found.branches, found.missing(NAMES, "580")) == ([535, 580], [])
    assert not [line for line in commands.asked if "update" in line]


def test_lists_that_lack_the_branch_are_read_anew_elsewhere() -> None:
    """The host's own stay as they are: preflight changes nothing."""
    commands = Commands({"apt-cache -o": Output(0, MADISON), "apt-get": Output(0)})
    found = published.of_archive(commands, NAMES, "580")
    assert found.missing(NAMES, "580") == []
    [update] = [line for line in commands.asked if line.startswith("apt-get")]
    assert "Dir::State::lists=" in update
    assert "groundwork-apt-" in update


def test_nothing_has_no_branches() -> None:
    assert (Published().branches, Published().missing(["one"], "580")) == ([], ["one"])


def test_the_subnet_manager_is_of_no_branch() -> None:
    assert published.parse(PACKAGES).missing(["nvlsm"], "580") == []
    assert Published().missing(["nvlsm"], "580") == ["nvlsm"]
