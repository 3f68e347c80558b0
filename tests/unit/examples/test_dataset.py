"""The data set of the examples is what its .dvc file says, and names no place: that is the site's to tell."""

from __future__ import annotations

import configparser
import csv
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles.manifests import containers, pod_of, unknown_fields

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples/dataset"
LOCKED: dict[str, Any] = yaml.safe_load((FOLDER / "points.csv.dvc").read_text())["outs"][0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, made by a copy of the program."""
    copy = tmp_path_factory.mktemp("dataset") / "make.py"
    copy.write_text((FOLDER / "make.py").read_text())
    specification = importlib.util.spec_from_file_location("make", copy)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.main()
    return copy.with_name("points.csv")


def test_what_is_made_is_what_is_locked(made: Path) -> None:
    content = made.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert {"md5": digest, "size": len(content), "hash": "md5", "path": made.name} == LOCKED


def test_each_spiral_has_as_many_points(made: Path) -> None:
    with made.open() as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["spiral"] == str(number) for row in rows) for number in range(3)] == [1000] * 3
    assert all(-1.2 <= float(row[axis]) <= 1.2 for row in rows for axis in "xy")


def test_the_repository_names_the_remote_alone() -> None:
    read = configparser.ConfigParser()
    read.read_string("\n".join(line.strip() for line in (FOLDER / ".dvc/config").read_text().splitlines()))
    assert {section: dict(read[section]) for section in read.sections()} == {
        "core": {"remote": "groundwork", "no_scm": "true"}
    }
    remote = yaml.safe_load((ROOT / "roles/dvc/defaults/main.yml").read_text())["dvc_remote_name"]
    assert read["core"]["remote"] == remote


def test_the_pod_that_pushes_is_one_that_namespaces_of_ours_let_in() -> None:
    job = yaml.safe_load((FOLDER / "push.yml").read_text())
    assert unknown_fields(job) == []
    pod = pod_of(job)
    assert pod is not None
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = containers(pod)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    versions = yaml.safe_load((ROOT / "versions.yml").read_text())
    assert container["image"] == f"docker.io/groundwork/dvc:{versions['platform']['dvc']}"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
