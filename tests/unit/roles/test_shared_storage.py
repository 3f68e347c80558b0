"""Role shared_storage: what is mounted in which order, who may do what, and how volumes are removed."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles.conftest import Role

Make = Callable[..., Role]
NFS = {"shared_storage_path": "/srv/shared", "shared_storage_source": "nas:/export/ml"}


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/srv/shared", "srv-shared.mount"),
        ("/srv/shared/", "srv-shared.mount"),
        ("/data", "data.mount"),
        ("/srv/my-data_1.x", r"srv-my\x2ddata_1.x.mount"),
    ],
)
def test_the_mount_is_called_as_systemd_calls_it(role: Make, path: str, unit: str) -> None:
    assert role("shared_storage", shared_storage_path=path).value("__shared_storage_mount_unit") == unit


@pytest.mark.parametrize(
    ("path", "status"),
    [("/srv/shared", "ok"), ("srv", "failed"), ("/srv/a b", "failed"), ("/", "failed"), ("/srv/%h", "failed")],
)
def test_a_path_that_units_would_misread_is_refused(role: Make, path: str, status: str) -> None:
    assert role("shared_storage", shared_storage_path=path).value("__shared_storage_path_is_plain")["status"] == status


@pytest.mark.parametrize(
    ("given", "packages"),
    [
        ({}, ["nfs-common"]),
        ({"shared_storage_type": "glusterfs"}, ["glusterfs-client"]),
        ({"shared_storage_type": "wekafs"}, []),
        ({"shared_storage_type": "lustre", "shared_storage_packages": ["lustre-client"]}, ["lustre-client"]),
    ],
)
def test_packages_go_by_the_type_unless_they_are_named(role: Make, given: dict[str, Any], packages: list[str]) -> None:
    assert role("shared_storage", **NFS, **given).value("__shared_storage_packages") == packages


@pytest.mark.parametrize(
    ("source", "server"),
    [("nas:/export/ml", "nas"), ("10.0.0.5:/", "10.0.0.5"), ("[fd00::5]:/export", "fd00::5")],
)
def test_the_server_is_what_stands_before_the_path(role: Make, source: str, server: str) -> None:
    assert role("shared_storage", shared_storage_source=source).value("__shared_storage_server") == server


def test_a_server_of_ours_is_known_by_each_of_its_names(role: Make) -> None:
    hosts = {"nfs1": {"ansible_host": "192.0.2.7", "__site_node": {"address": "10.0.0.7"}}}
    found = role("shared_storage", groups={"nfs_server": ["nfs1"]}, hostvars=hosts)
    assert found.value("__shared_storage_own_servers") == ["nfs1", "192.0.2.7", "10.0.0.7"]
    assert role("shared_storage").value("__shared_storage_own_servers") == []


@pytest.mark.parametrize(
    ("given", "shared", "mounted"),
    [
        ({}, False, False),
        ({"shared_storage_path": "/data"}, True, False),
        (NFS, True, True),
        (NFS | {"shared_storage_enabled": False}, False, False),
    ],
)
def test_a_source_is_mounted_and_a_path_alone_is_the_sites(
    role: Make, given: dict[str, Any], shared: bool, mounted: bool
) -> None:
    found = role("shared_storage", **given)
    assert (found.value("__shared_storage_is_shared"), found.value("__shared_storage_is_mounted_here")) == (
        shared, mounted,
    )  # fmt: skip


def units(found: Role) -> dict[str, configparser.ConfigParser]:
    """The units that the role writes, read as systemd would."""
    parsed = {}
    for name, text in found.value("__shared_storage_units").items():
        parsed[name] = configparser.ConfigParser(interpolation=None)
        parsed[name].optionxform = str  # type: ignore[assignment,method-assign]
        parsed[name].read_string(text)
    return parsed


@pytest.mark.parametrize("daemon", ["kubelite", "containerd"])
def test_nodes_start_after_the_mount_and_without_it(role: Make, daemon: str) -> None:
    """Requires, or RequiresMountsFor, would keep a node and its control plane down as long as the storage is."""
    unit = units(role("shared_storage", **NFS))[
        f"snap.microk8s.daemon-{daemon}.service.d/groundwork-shared-storage.conf"
    ]
    assert dict(unit["Unit"]) == {"Wants": "srv-shared.mount", "After": "srv-shared.mount"}


def test_a_mount_is_tried_until_it_succeeds(role: Make) -> None:
    unit = units(role("shared_storage", **NFS))["groundwork-shared-storage.service"]
    assert unit["Service"]["ExecStart"] == "/bin/systemctl start srv-shared.mount"
    assert (unit["Service"]["Restart"], unit["Unit"]["StartLimitIntervalSec"]) == ("on-failure", "0")
    assert unit["Unit"]["ConditionPathIsMountPoint"] == "!/srv/shared"
    assert "srv-shared.mount" not in unit["Unit"].get("After", ""), "it would wait for what it starts"


def probed(*hosts: list[str] | None) -> dict[str, Any]:
    """Hosts whose probes ended with these statuses; None where there was none yet."""
    names = [f"n{number}" for number, _ in enumerate(hosts, 1)]
    known = {
        name: {"__shared_storage_probed": [{"status": status} for status in found]} if found is not None else {}
        for name, found in zip(names, hosts, strict=True)
    }
    return {"ansible_play_hosts": names, "hostvars": known}


@pytest.mark.parametrize(
    ("hosts", "again"),
    [
        ([["ok", "ok", "ok"], ["ok", "ok", "ok"]], False),
        ([["ok", "ok", "ok"], ["skipped"]], True),
        ([None, None], True),
        ([["ok", "ok", "ok"], None], True),
    ],
)
def test_hosts_are_probed_together_where_one_is_new(role: Make, hosts: list[list[str] | None], again: bool) -> None:
    assert role("shared_storage", **probed(*hosts)).value("__shared_storage_is_unproved") is again


@pytest.mark.parametrize(("words", "compare"), [({"n1": "a", "n2": "b"}, True), ({"n1": "a", "n2": ""}, False)])
def test_hosts_are_compared_with_those_that_could_write(role: Make, words: dict[str, str], compare: bool) -> None:
    known = {name: {"__shared_storage_begun": {"word": word}} for name, word in words.items()}
    found = role(
        "shared_storage", ansible_play_hosts=list(words), hostvars=known, __shared_storage_begun={"word": words["n1"]}
    )
    assert found.value("__shared_storage_words") == {name: word for name, word in words.items() if word}
    assert found.value("__shared_storage_can_compare") is compare


def test_a_fault_that_somebody_allows_stops_nothing(role: Make) -> None:
    fault = {"name": "shared_storage.path_is_shared", "status": "failed"}
    assert role("shared_storage", __shared_storage_probed=[fault]).value("__shared_storage_faults") == [fault]
    allowed = role("shared_storage", __shared_storage_probed=[fault], preflight_allow_failed=[fault["name"]])
    assert allowed.value("__shared_storage_faults") == []


def test_each_class_has_its_place(role: Make) -> None:
    (settings,) = role("shared_storage", **NFS).objects("settings.yml.j2")
    assert json.loads(settings["data"]["config.json"])["storageClassConfigs"] == {
        "local": {"nodePathMap": [
            {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/lib/groundwork/volumes"]}
        ]},
        "shared": {"sharedFileSystemPath": "/srv/shared"},
    }  # fmt: skip
    classes = role("shared_storage", **NFS).objects("classes.yml.j2")
    assert [(found["metadata"]["name"], found["volumeBindingMode"]) for found in classes] == [
        ("local", "WaitForFirstConsumer"), ("shared", "Immediate"),
    ]  # fmt: skip


def test_without_a_path_there_is_one_class(role: Make) -> None:
    assert [found["metadata"]["name"] for found in role("shared_storage").objects("classes.yml.j2")] == ["local"]


def test_one_class_at_most_is_the_default(role: Make) -> None:
    def defaults(name: str) -> list[str]:
        classes = role("shared_storage", **NFS, shared_storage_default_class=name).objects("classes.yml.j2")
        key = "storageclass.kubernetes.io/is-default-class"
        return [found["metadata"]["name"] for found in classes if found["metadata"]["annotations"][key] == "true"]

    assert [defaults(name) for name in ("local", "shared", "")] == [["local"], ["shared"], []]


def test_the_provisioner_may_do_nothing_to_pods_of_others(role: Make) -> None:
    rules = [found for found in role("shared_storage").objects("rights.yml.j2") if found["kind"] == "ClusterRole"]
    everywhere = {resource for found in rules for rule in found["rules"] for resource in rule["resources"]}
    assert everywhere == {"nodes", "persistentvolumeclaims", "persistentvolumes", "events", "storageclasses"}


def test_helper_pods_have_no_rights_and_little_of_roots(role: Make) -> None:
    found = role("shared_storage")
    (settings,) = found.objects("settings.yml.j2")
    (deployment,) = found.objects("provisioner.yml.j2")
    helper = yaml.safe_load(settings["data"]["helperPod.yaml"])["spec"]
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    account = next(entry["value"] for entry in environment if entry["name"] == "SERVICE_ACCOUNT_NAME")
    bound = [subject["name"] for rights in found.objects("rights.yml.j2") for subject in rights.get("subjects", [])]
    assert account not in bound
    assert helper["automountServiceAccountToken"] is False
    security = helper["containers"][0]["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["capabilities"]["drop"]) == (True, ["ALL"])


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """What a teardown calls: a start-stop-daemon that notes for whom it runs, and an rm that fails until then."""
    folder = tmp_path / "programs"
    folder.mkdir()
    daemon = folder / "start-stop-daemon"
    daemon.write_text(
        f"#!/bin/sh\ncat {folder}/passwd >> {folder}/owners\ntouch {folder}/allowed\n"
        'while [ "$1" != -- ]; do shift; done\nshift\nexec /usr/bin/env "$@"\n'
    )
    remove = folder / "rm"
    remove.write_text(f'#!/bin/sh\n[ -e {folder}/allowed ] || exit 1\nexec /bin/rm "$@"\n')
    for program in (daemon, remove):
        program.chmod(0o755)
    return folder


def teardown(found: Role, volume: Path, programs: Path) -> int:
    """The exit status of the script, with a file of users of its own."""
    script = found.objects("settings.yml.j2")[0]["data"]["teardown"].replace("/etc/passwd", f"{programs}/passwd")
    environment = os.environ | {"VOL_DIR": str(volume), "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, timeout=20).returncode


def test_a_volume_that_root_may_not_remove_is_removed_by_its_owners(role: Make, tmp_path: Path, programs: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "a/b").mkdir(parents=True)
    (volume / ".hidden").mkdir()
    (volume / "a/b/file").write_text("")
    assert teardown(role("shared_storage"), volume, programs) == 0
    assert not volume.exists()
    owner = volume.parent.stat()
    assert (programs / "owners").read_text().split() == [f"owner:x:{owner.st_uid}:{owner.st_gid}::/:"]


def test_a_volume_that_root_may_remove_needs_nobody_else(role: Make, tmp_path: Path, programs: Path) -> None:
    (programs / "allowed").write_text("")
    (tmp_path / "volume/a").mkdir(parents=True)
    assert teardown(role("shared_storage"), tmp_path / "volume", programs) == 0
    assert not (tmp_path / "volume").exists()
    assert not (programs / "owners").exists()


def test_a_volume_that_nobody_can_remove_is_told(role: Make, tmp_path: Path, programs: Path) -> None:
    (programs / "start-stop-daemon").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "volume/a").mkdir(parents=True)
    assert teardown(role("shared_storage"), tmp_path / "volume", programs) != 0
