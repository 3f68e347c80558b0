"""Whether the CDI specification says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu import cdi

GPU = "GPU-1f0cb2ae-7bd4-5dd8-b1ba-1b8bd7fdd3e6"
MIG = "MIG-8a2c3f1e-7d55-5b1c-9d52-0a4f6c1b2d3e"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libcuda.so.580.126.09"
# What `nvidia-ctk cdi generate` 1.20 writes, cut short.
SPECIFICATION = f"""\
---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
    hostPath: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    - update-ldcache
    - --folder
    - /usr/lib/x86_64-linux-gnu
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: {LIBRARY}
    hostPath: {LIBRARY}
    options:
    - ro
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      hostPath: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: {GPU}
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia1
  name: {MIG}
- name: all
kind: nvidia.com/gpu
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("/dev/nvidiactl", "/dev/nvidia0", LIBRARY):
        (tmp_path / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.lstrip("/")).touch()
    return tmp_path


def test_devices_and_files_are_read() -> None:
    found = cdi.parse(SPECIFICATION)
    assert found.devices == {GPU, MIG}
    assert found.files == ("/dev/nvidia0", "/dev/nvidiactl", LIBRARY)


def test_a_current_one_passes(root: Path) -> None:
    assert cdi.check(cdi.parse(SPECIFICATION), [GPU, MIG], root).status == "ok"


@pytest.mark.parametrize(
    ("offered", "observed"),
    [
        ([GPU, MIG, "MIG-new"], "not in it: MIG-new"),
        ([GPU], f"in it, and gone: {MIG}"),
        ([MIG], ""),  # a GPU that NVML lost is a matter of its own
    ],
)
def test_devices_that_came_or_went_are_named(root: Path, offered: list[str], observed: str) -> None:
    verdict = cdi.check(cdi.parse(SPECIFICATION), offered, root)
    assert (verdict.status == "failed") is bool(observed)
    assert observed in verdict.observed


def test_files_of_a_driver_that_is_gone_are_named(root: Path) -> None:
    (root / LIBRARY.lstrip("/")).unlink()
    verdict = cdi.check(cdi.parse(SPECIFICATION), [GPU, MIG], root)
    assert (verdict.status, verdict.observed) == ("failed", f"files that are gone: {LIBRARY}")
    assert "nvidia-cdi-refresh" in verdict.remedy


def test_one_that_was_never_written_is_missing(tmp_path: Path) -> None:
    found = cdi.observe(tmp_path / "nvidia.yaml")
    assert (found, cdi.check(found, [GPU]).status, cdi.check(found, []).status) == (None, "failed", "skipped")


def test_it_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text(SPECIFICATION)
    assert cdi.observe(tmp_path / "nvidia.yaml") == cdi.parse(SPECIFICATION)
