"""The descriptions of packages, and what becomes of one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lab import packages, paths
from lab.errors import LabError

DESCRIPTIONS = sorted((paths.PROJECT / "lab/doubles").glob("*/packages/*.yml"))
FIELDS = {"package", "description", *packages.RELATIONS, "files", "tree", "texts", "links", "service", "unload"}
FIELDS |= {"postinst", "prerm", "postrm", "triggers"}


@pytest.mark.parametrize("description", DESCRIPTIONS, ids=lambda path: path.name)
def test_descriptions_have_known_fields_alone(description: Path) -> None:
    data = yaml.safe_load(description.read_text())
    assert set(data) == {"version", "packages"}
    for entry in data["packages"]:
        assert set(entry) <= FIELDS
        assert entry["package"]
        assert entry["description"]


def test_every_driver_version_has_a_set_that_depends_on_itself() -> None:
    text = (packages.NVIDIA / "packages/cuda-debian.yml").read_text().replace("@DRIVER@", "1.2.3")
    entries = {entry["package"]: entry for entry in yaml.safe_load(text)["packages"]}
    wanted = [part.split() for entry in entries.values() for part in entry.get("depends", "").split(", ") if part]
    for name, *version in wanted:
        assert name in entries or name == "dkms"
        assert version in ([], ["(=", "1.2.3-1)"])


def describe(folder: Path, **entry: object) -> packages._Set:
    """A set of one package, described in a file as the real ones are."""
    description = folder / "packages/one.yml"
    description.parent.mkdir()
    one = {"package": "one", "description": "a package", **entry}
    description.write_text(yaml.safe_dump({"version": "1:@X@-1", "packages": [one]}))
    return packages._Set(description, {"X": "2.5"})


def test_names_are_filled_in(tmp_path: Path) -> None:
    (package,) = describe(tmp_path, texts={"/etc/@X@": "@X@"}).packages()
    assert (package.version, dict(package.texts)) == ("1:2.5-1", {"/etc/2.5": "2.5"})
    assert package.file_name == "one_2.5-1_amd64.deb"


def test_a_name_that_nothing_fills_in_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="nothing fills in @Y@"):
        describe(tmp_path, depends="@Y@").packages()


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="gone is in none of"):
        describe(tmp_path, files={"/usr/bin/one": "gone"}).packages()


def test_services_start_with_the_package_and_stop_before_it_goes(tmp_path: Path) -> None:
    (package,) = describe(tmp_path, service="one.service", prerm="echo prerm", unload=True).packages()
    assert "systemctl enable --quiet one.service\nsystemctl restart one.service || true" in package.scripts["postinst"]
    remove, always = package.scripts["prerm"].split(";; esac")[:2]
    assert "remove)" in remove
    assert "disable --now --quiet one.service" in remove
    assert "modprobe --remove nvidia" in remove
    assert "remove|upgrade)" in always
    assert "postrm" not in package.scripts


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
def test_a_package_is_the_same_each_time_and_owned_by_root(tmp_path: Path) -> None:
    source = tmp_path / "tool"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o755)
    (package,) = describe(tmp_path, files={"/usr/bin/one": "tool"}, links={"/usr/bin/two": "one"}).packages()
    debs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        debs.append(packages._build_deb(package, tmp_path / name))
    assert debs[0].read_bytes() == debs[1].read_bytes()
    listing = subprocess.run(["dpkg-deb", "--contents", debs[0]], capture_output=True, text=True, check=True).stdout
    assert "-rwxr-xr-x root/root" in listing
    assert "./usr/bin/two -> one" in listing
