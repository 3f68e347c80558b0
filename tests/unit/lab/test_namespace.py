"""What the release of a cache's namespace leaves alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab import namespace


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace is root's to make")
def test_what_another_namespace_has_mounted_on_a_directory_is_seen(tmp_path: Path) -> None:
    directory = str(tmp_path)
    assert not namespace._is_mounted_on_anywhere(directory)
    script = f"mount --bind /proc {directory} && echo mounted && read line"
    other = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == b"mounted\n"
        assert not os.path.ismount(directory), "it is mounted in the other namespace alone"
        assert namespace._is_mounted_on_anywhere(directory)
    finally:
        other.stdin.close()
        other.wait(timeout=10)
    assert not namespace._is_mounted_on_anywhere(directory)
