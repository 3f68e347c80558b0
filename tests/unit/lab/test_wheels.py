"""The index of wheels is what pip reads: normalised names, links with hashes that hold."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from lab import paths, wheels
from lab.errors import LabError


def test_the_index_names_each_project_once_with_the_hash_of_each_file(tmp_path: Path) -> None:
    files, simple = tmp_path / "files", tmp_path / "simple"
    files.mkdir()
    for name in (
        "PyYAML-6.0-cp311-cp311-any.whl",
        "pyyaml-6.0-cp313-cp313-any.whl",
        "nvidia_ml_py-13.0-py3-none-any.whl",
    ):
        (files / name).write_text(name)
    wheels.index(files, simple)
    assert re.findall('href="(.*?)"', (simple / "index.html").read_text()) == ["pyyaml/", "nvidia-ml-py/"]
    links = re.findall('href="(.*?)#sha256=(.*?)"', (simple / "pyyaml/index.html").read_text())
    assert len(links) == 2
    for target, digest in links:
        file = (simple / "pyyaml" / target).resolve()
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("written", "normal"),
    [("PyYAML", "pyyaml"), ("nvidia_ml_py", "nvidia-ml-py"), ("zope.interface", "zope-interface")],
)
def test_names_are_normalised_as_pep_503_says(written: str, normal: str) -> None:
    assert wheels.normalize(written) == normal


def test_a_wheel_that_is_not_there_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "DIRECTORY", tmp_path)
    with pytest.raises(LabError, match="0 wheels of nvidia-ml-py") as caught:
        wheels.find("nvidia-ml-py")
    assert "script/lab build wheels" in caught.value.remedy


def test_the_lock_holds_what_versions_yml_names_and_a_hash_for_each() -> None:
    pinned = yaml.safe_load((paths.PROJECT / "versions.yml").read_text())["host_python"]
    entries = re.split(r"\n(?=[a-z])", wheels.LOCK.read_text())[1:]
    locked = dict(entry.split(" ", 1)[0].split("==") for entry in entries)
    assert {name: locked.get(wheels.normalize(name)) for name in pinned} == {
        name: str(version) for name, version in pinned.items()
    }
    assert all("--hash=sha256:" in entry for entry in entries)


def test_an_image_gets_what_its_lock_names_and_no_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **_options: object) -> str:
        asked.append([str(word) for word in command])
        (tmp_path / "site/bin").mkdir(parents=True)
        (tmp_path / "site/mlflow").mkdir()
        return ""

    monkeypatch.setattr(wheels, "run", pip)
    wheels.install(tmp_path / "requirements.txt", tmp_path / "site", "3.13")
    [words] = asked
    assert words[3:4] == ["install"]
    assert {
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--python-version=3.13",
        f"--target={tmp_path}/site",
    } <= set(words)
    assert words[-1] == f"-r{tmp_path}/requirements.txt"
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["mlflow"]
