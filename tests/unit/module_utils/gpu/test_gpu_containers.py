"""Running containers that lost their GPU."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import containers
from ansible.module_utils.groundwork.gpu.containers import Container, Device, Probe

from tests.unit.module_utils.gpu import bpf

GPU = Device("/dev/nvidia0", 195, 0)
DEFAULT = ("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 5:0 rwm", "c 136:* rwm")
"""What runc 1.3 writes for every container."""
GIVEN = (*DEFAULT, "c 195:255 rw", "c 508:0 rw", "c 195:0 rw")
GROUP_V1 = """\
12:devices:/kubepods/besteffort/pod1c5e/{id}
11:cpu,cpuacct:/kubepods/besteffort/pod1c5e/{id}
1:name=systemd:/kubepods/besteffort/pod1c5e/{id}
0::/system.slice/containerd.service
"""
GROUP_V2 = "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-{id}.scope\n"


def specification(*devices: Device) -> dict[str, Any]:
    """A bundle's config.json, of what matters here."""
    listed = [{"path": one.path, "type": "c", "major": one.major, "minor": one.minor} for one in devices]
    return {
        "ociVersion": "1.2.1",
        "annotations": {
            "io.kubernetes.cri.container-name": "train",
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-name": "train-0",
            "io.kubernetes.cri.sandbox-namespace": "default",
        },
        "linux": {"devices": [*listed, {"path": "/dev/nvidiactl", "type": "c", "major": 195, "minor": 255}]},
    }


class Host:
    """A host's files: bundles, processes, cgroups."""

    def __init__(self, root: Path) -> None:
        self.bundles, self.proc = root / "bundles", root / "proc"
        self.own, self.shim = root / "own", root / "shim"
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/root").symlink_to(self.own)
        (self.proc / "77").mkdir()
        (self.proc / "77/root").symlink_to(self.shim)

    def run(self, identity: str, found: dict[str, Any], group: str = GROUP_V1) -> None:
        bundle = self.bundles / identity
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(found))
        (bundle / "init.pid").write_text("4711")
        (self.proc / "4711").mkdir(exist_ok=True)
        (self.proc / "4711/cgroup").write_text(group.format(id=identity))
        (self.proc / "4711/status").write_text("Name:\tpython3\nState:\tS (sleeping)\nPPid:\t77\n")

    def allow(self, root: Path, identity: str, lines: tuple[str, ...]) -> None:
        directory = root / f"sys/fs/cgroup/devices/kubepods/besteffort/pod1c5e/{identity}"
        directory.mkdir(parents=True)
        (directory / "devices.list").write_text("\n".join(lines) + "\n")

    def observe(self, probe: Probe | None = None) -> list[Container]:
        return containers.observe(self.bundles, self.proc, probe)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_container_keeps_its_gpu(host: Host) -> None:
    host.run("a1", specification(GPU))
    host.allow(host.own, "a1", GIVEN)
    found = host.observe()
    assert found == [Container("default/train-0", "train", (GPU,), ())]
    assert containers.check(found).status == "ok"


def test_the_fault_is_found_by_name_with_pod_container_and_remedy(host: Host) -> None:
    host.run("a1", specification(GPU))
    host.allow(host.own, "a1", DEFAULT)
    verdict = containers.check(host.observe())
    assert (verdict.name, verdict.status) == ("kubernetes_gpu.running_pods_keep_their_gpu", "failed")
    assert verdict.observed == "default/train-0, container train: /dev/nvidia0"
    assert "Delete these pods" in verdict.remedy


def test_cgroups_may_be_mounted_where_the_runtime_lives_alone(host: Host) -> None:
    host.run("a1", specification(GPU))
    host.allow(host.shim, "a1", DEFAULT)
    assert containers.check(host.observe()).status == "failed"


def test_containers_without_gpus_are_not_looked_at(host: Host) -> None:
    host.run("a1", specification())
    verdict = containers.check(host.observe())
    assert (host.observe(), verdict.status, verdict.observed) == ([], "skipped", "no container with a GPU runs here")


def test_privileged_containers_were_given_none(host: Host) -> None:
    found = specification(GPU)
    found["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
    host.run("a1", found)
    assert host.observe() == []


def test_rules_of_an_ordinary_container_are_no_privilege(host: Host) -> None:
    found = specification(GPU)
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rwm"},
    ]
    found["linux"]["resources"] = {"devices": rules}
    host.run("a1", found)
    host.allow(host.own, "a1", GIVEN)
    assert len(host.observe()) == 1


@pytest.mark.parametrize("mount", ["sys/fs/cgroup", "sys/fs/cgroup/unified"])
@pytest.mark.parametrize(("may", "status"), [(True, "ok"), (False, "failed")])
def test_cgroup_v2_is_asked_from_within(host: Host, mount: str, may: bool, status: str) -> None:
    host.run("a1", specification(GPU), GROUP_V2)
    group = host.own / mount / "kubepods.slice/kubepods-besteffort.slice/cri-containerd-a1.scope"
    group.mkdir(parents=True)
    (group / "cgroup.procs").touch()
    asked: list[tuple[str, list[str]]] = []

    def probe(where: Path, nodes: Sequence[Path]) -> list[bool]:
        asked.append((where.name, [str(node.relative_to(host.proc)) for node in nodes]))
        return [may]

    verdict = containers.check(host.observe(probe))
    assert verdict.status == status
    assert asked == [("cri-containerd-a1.scope", ["4711/root/dev/nvidia0"])]


def test_a_cgroup_that_cannot_be_asked_is_skipped_with_the_reason(host: Host) -> None:
    host.run("a1", specification(GPU), GROUP_V2)
    assert "could not be asked: default/train-0" in containers.check(host.observe()).observed
    group = host.own / "sys/fs/cgroup/kubepods.slice/kubepods-besteffort.slice/cri-containerd-a1.scope"
    group.mkdir(parents=True)
    (group / "cgroup.procs").touch()

    def probe(where: Path, nodes: Sequence[Path]) -> list[bool]:
        raise GroundworkError(f"{where} cannot be entered: {nodes}", "")

    assert containers.check(host.observe(probe)).status == "skipped"


@pytest.fixture
def closed_group() -> Iterator[Path]:
    """A real cgroup of version 2 whose device program refuses all."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line]
    if os.geteuid() or not mounts or platform.machine() != "x86_64":
        pytest.skip("needs root, x86_64, and cgroup v2 mounted somewhere")
    group = Path(mounts[0]) / f"groundwork-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    try:
        bpf.refuse_devices(group)
        yield group
    finally:
        group.rmdir()


def test_a_real_device_program_is_asked(closed_group: Path, tmp_path: Path) -> None:
    """The whole of it on the kernel: no device is opened, files are no devices, and we ourselves are not concerned."""
    (tmp_path / "file").touch()
    assert containers.enter(closed_group, [Path("/dev/null"), tmp_path / "file"]) == [False, True]
    assert os.access("/dev/null", os.R_OK | os.W_OK)


def test_a_group_that_is_gone_cannot_be_entered(tmp_path: Path) -> None:
    with pytest.raises(GroundworkError, match="cannot be entered"):
        containers.enter(tmp_path / "gone", [Path("/dev/null")])


def test_a_container_that_ends_meanwhile_is_left_out(host: Host) -> None:
    host.run("a1", specification(GPU))
    (host.proc / "4711/cgroup").unlink()
    assert host.observe() == []


def test_a_host_without_containerd_has_none(host: Host) -> None:
    assert host.observe() == []


def test_the_return_shape() -> None:
    second = Device("/dev/nvidia1", 195, 1)
    one = Container("default/train-0", "train", (GPU, second), (second,))
    assert one.to_dict() == {
        "pod": "default/train-0",
        "name": "train",
        "gpus": ["/dev/nvidia0", "/dev/nvidia1"],
        "lost": ["/dev/nvidia1"],
    }


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("a *:* rwm", True),
        ("c 195:* rw", True),
        ("c 195:0 rwm", True),
        ("c *:* m", False),
        ("c 195:1 rw", False),
        ("c 195:0 r", False),
        ("c 508:* rw", False),
        ("b 195:0 rw", False),
    ],
)
def test_lines_of_devices_list(line: str, allowed: bool) -> None:
    assert containers.allows(line, GPU) is allowed


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["/dev/nvidia0", "/dev/nvidia12"], 2),
        (["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-caps/nvidia-cap3"], 0),
        (["/dev/null"], 0),
    ],
)
def test_gpus_are_told_from_other_devices(paths: list[str], wanted: int) -> None:
    devices = [{"path": path, "major": 195, "minor": 0} for path in paths]
    assert len(containers.gpus({"linux": {"devices": devices}})) == wanted
    assert containers.gpus({}) == ()
