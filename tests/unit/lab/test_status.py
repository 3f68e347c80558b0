"""What is said of a lab: its memory by host, and the table."""

from __future__ import annotations

from pathlib import Path

from lab import cgroups, status


def process(proc: Path, number: int, group: str, pss_kib: int) -> None:
    directory = proc / str(number)
    directory.mkdir()
    (directory / "cgroup").write_text(f"4:memory:{group}\n0::/\n")
    (directory / "smaps_rollup").write_text(
        f"00400000-7fff rollup\nRss: 9999 kB\nPss:    {pss_kib} kB\nPss_Anon: 1 kB\n"
    )


def test_memory_is_summed_up_by_host(tmp_path: Path) -> None:
    process(tmp_path, 1, "/user.slice", 8192)
    process(tmp_path, 10, f"/jobs/7/{cgroups.PARENT}/lab/n1", 2048)
    process(tmp_path, 11, f"/jobs/7/{cgroups.PARENT}/lab/n1/kubepods/pod1", 1024)
    process(tmp_path, 12, f"/{cgroups.PARENT}/lab/n2", 4096)
    process(tmp_path, 13, f"/{cgroups.PARENT}/lab-2/n2", 4096)
    (tmp_path / "14").mkdir()  # it ended while we looked
    assert status.used_memory("lab", tmp_path) == {"n1": 3, "n2": 4}


def test_the_table_has_a_line_a_host_and_the_mirror() -> None:
    host = {"name": "n1", "address": "10.77.0.11", "state": "running", "os": "debian-12", "gpus": ""}
    mirror = {"name": "mirror", "address": "10.77.0.2", "state": "stopped"}
    lines = status.table({"hosts": [host], "mirror": mirror}).splitlines()
    assert [line.split() for line in lines] == [
        ["name", "address", "state", "os", "gpus"],
        ["n1", "10.77.0.11", "running", "debian-12", "-"],
        ["mirror", "10.77.0.2", "stopped", "-", "-"],
    ]
