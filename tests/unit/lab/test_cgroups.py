"""Which control groups a machine has, told from mount tables of both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import cgroups

HYBRID_MOUNTS = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 21 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 30 0:29 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
34 30 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 30 0:35 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
40 30 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_GROUPS = "9:name=systemd:/\n4:memory:/jobs/7\n3:cpuset:/\n1:cpu:/\n0::/\n"

# systemd's hybrid set-up joins cpu and cpuacct, and links the single names to the joint one
JOINT_MOUNTS = """\
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory
39 30 0:35 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd
40 30 0:36 / /sys/fs/cgroup/unified rw,nosuid shared:8 - cgroup2 cgroup2 rw,nsdelegate
"""
JOINT_GROUPS = "5:cpu,cpuacct:/\n4:memory:/user.slice\n1:name=systemd:/user.slice/user-0.slice\n0::/user.slice\n"

V2_MOUNTS = """\
25 1 0:24 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
V2_GROUPS = "0::/user.slice/user-0.slice/session-3.scope\n"

# a v1 hierarchy without controllers, as some tools mount one on a machine of plain v2
NAMED_MOUNTS = V2_MOUNTS + "50 29 0:40 / /run/systemd rw - cgroup cgroup rw,name=systemd\n"
NAMED_GROUPS = "1:name=systemd:/\n" + V2_GROUPS


@pytest.mark.parametrize(
    ("mounts", "groups", "expected"),
    [
        pytest.param(HYBRID_MOUNTS, HYBRID_GROUPS, {"cpu", "cpuset", "memory", "name=systemd"}, id="hybrid"),
        pytest.param(JOINT_MOUNTS, JOINT_GROUPS, {"cpu", "cpuacct", "memory", "name=systemd"}, id="joint controllers"),
        pytest.param(V2_MOUNTS, V2_GROUPS, set(), id="plain v2"),
        pytest.param(NAMED_MOUNTS, NAMED_GROUPS, set(), id="plain v2 beside a named hierarchy"),
    ],
)
def test_v1_is_used_where_it_limits_memory(mounts: str, groups: str, expected: set[str]) -> None:
    found = cgroups.v1(cgroups.hierarchies(mounts, groups))
    assert {name for hierarchy in found for name in hierarchy.controllers} == expected


def own(mounts: str, groups: str, controller: str) -> str:
    found = cgroups.hierarchies(mounts, groups)
    return str(
        next(each.own for each in found if controller in each.controllers or (not controller and not each.controllers))
    )


def test_our_own_group_is_found_in_each_hierarchy() -> None:
    assert own(HYBRID_MOUNTS, HYBRID_GROUPS, "memory") == "/sys/fs/cgroup/memory/jobs/7"
    assert own(HYBRID_MOUNTS, HYBRID_GROUPS, "cpu") == "/sys/fs/cgroup/cpu"
    assert own(JOINT_MOUNTS, JOINT_GROUPS, "cpuacct") == "/sys/fs/cgroup/cpu,cpuacct"
    assert own(V2_MOUNTS, V2_GROUPS, "") == "/sys/fs/cgroup/user.slice/user-0.slice/session-3.scope"


def test_a_mount_that_shows_a_part_of_its_hierarchy() -> None:
    mounts = "34 30 0:30 /jobs /cgroups/my\\040memory rw - cgroup cgroup rw,memory\n"
    assert own(mounts, "4:memory:/jobs/7\n", "memory") == "/cgroups/my memory/7"


def test_a_command_joins_groups_before_it_starts(tmp_path: Path) -> None:
    groups = [tmp_path / "memory", tmp_path / "cpu"]
    command = cgroups.joining(groups, ["podman", "run"])
    assert command[-5:] == [*map(str, groups), "--", "podman", "run"]
    assert cgroups.joining([], ["podman", "run"]) == ["podman", "run"]
