"""A host's archive that was damaged on its way: what is left of it, and that no other host is missing for it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.support.bundle import Bundle, checks, pack
from ansible.module_utils.groundwork.support.collect import Limits, add, collect, items, private
from hypothesis import example, given, settings
from hypothesis import strategies as st

LIMITS = Limits(10, 30, 100_000, 1_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the archives of two hosts; the text of the first is of the kind that is compressed by blocks."""
    found = tmp_path_factory.mktemp("damage")
    for name, words in (("n1", ["seq", "1", "4000"]), ("n2", ["echo", "hello"])):
        declared = items([{"name": "a.txt", "argv": words}], LIMITS.bytes)
        collect(declared, {}, [], LIMITS, found / f"{name}.tar.gz")
    return found


def packed(folder: Path, damaged: bytes) -> tuple[Bundle, list[str]]:
    """The bundle with what is left of the first host's archive, and the names of its files."""
    (folder / "damaged.tar.gz").write_bytes(damaged)
    archives = {"hosts/n1": folder / "damaged.tar.gz", "hosts/n2": folder / "n2.tar.gz"}
    bundle = pack("lab", archives, {}, [], [], folder / "to.tar.gz")
    with tarfile.open(bundle.path) as tar:
        return bundle, [name.partition("/")[2] for name in tar.getnames()]


def test_the_whole_archive_is_taken(folder: Path) -> None:
    bundle, names = packed(folder, (folder / "n1.tar.gz").read_bytes())
    assert [part.problem for part in bundle.parts] == ["", "", ""]
    assert {"hosts/n1/a.txt", "hosts/n2/a.txt", "index.json", "index.html"} == set(names)


@settings(max_examples=40)
@given(place=st.floats(0, 0.999), flip=st.integers(1, 255))
@example(place=0.643629246066731, flip=1)
def test_a_byte_that_is_wrong_costs_no_other_host(folder: Path, place: float, flip: int) -> None:
    """Wherever it is: in the head, in a block, or in the sum at the end."""
    whole = bytearray((folder / "n1.tar.gz").read_bytes())
    whole[int(place * len(whole))] ^= flip
    _, names = packed(folder, bytes(whole))
    assert {"hosts/n2/a.txt", "index.json", "index.html"} <= set(names)


@settings(max_examples=20)
@given(place=st.floats(0.01, 0.99))
def test_an_archive_that_ends_early_is_named(folder: Path, place: float) -> None:
    whole = (folder / "n1.tar.gz").read_bytes()
    bundle, names = packed(folder, whole[: int(place * len(whole))])
    assert "hosts/n2/a.txt" in names
    [problem] = [part.problem for part in bundle.parts if part.name == "hosts/n1"]
    assert problem.startswith("what it told cannot be read: ")
    assert checks(bundle)[0].status == "warning"


def test_an_archive_without_its_index_is_named_and_what_is_in_it_is_kept(folder: Path) -> None:
    """A wrong byte in a name is enough; without its index nobody would miss what a host did not tell."""
    with private(folder / "bare.tar.gz") as tar:
        add(tar, "a.txt", b"hello\n")
    bundle, names = packed(folder, (folder / "bare.tar.gz").read_bytes())
    assert bundle.parts[0].problem == "what it told cannot be read: it has no index.json, which is written last"
    assert checks(bundle)[0].status == "warning"
    assert "hosts/n1/a.txt" in names
