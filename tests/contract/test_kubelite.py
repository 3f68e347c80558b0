"""What kubelite takes and refuses, asked of the built program; running clusters are the lab's tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import programs

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")


@pytest.fixture
def kubelite() -> Path:
    """The built program."""
    program = programs.directory("kubernetes") / "kubelite"
    if not program.exists():
        pytest.skip("kubelite is not built yet: script/lab build programs")
    return program


def _run(program: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, env=environment, timeout=60)


def _files(directory: Path, **texts: str) -> list[str]:
    for component in COMPONENTS:
        (directory / component).write_text(texts.get(component.replace("-", "_"), ""))
    return [f"--{component}-args-file={directory / component}" for component in COMPONENTS]


def test_its_version_is_that_of_versions_yml(kubelite: Path) -> None:
    assert _run(kubelite, "--version").stdout == f"Kubernetes {programs.load('kubernetes').version}\n"


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_flag_that_a_component_does_not_know_is_refused_with_the_file_that_holds_it(
    kubelite: Path, tmp_path: Path, component: str
) -> None:
    done = _run(kubelite, *_files(tmp_path, **{component.replace("-", "_"): "--no-such-flag=1\n"}))
    assert done.returncode == 1
    assert f"kubelite: {component} (flags of {tmp_path / component}): unknown flag: --no-such-flag" in done.stderr


def test_a_missing_file_is_refused(kubelite: Path, tmp_path: Path) -> None:
    words = _files(tmp_path)
    (tmp_path / "kube-scheduler").unlink()
    done = _run(kubelite, *words)
    assert done.returncode == 1
    assert f"flags of kube-scheduler: open {tmp_path / 'kube-scheduler'}: no such file" in done.stderr


def test_a_worker_reads_no_file_of_the_control_plane(kubelite: Path, tmp_path: Path) -> None:
    words = _files(tmp_path, kubelet="--no-such-flag\n")
    (tmp_path / "kube-scheduler").unlink()
    assert "kubelet (flags of" in _run(kubelite, "--start-control-plane=false", *words).stderr


def test_files_are_read_as_microk8s_reads_them(kubelite: Path, tmp_path: Path) -> None:
    text = """
        # --commented-out
        --v=2 --hostname-override="n1"

        --root-dir='${PLACE}/kubelet' --unknown-$PLACE
    """
    words = _files(tmp_path, kubelet=text)
    done = _run(kubelite, "--start-control-plane=false", *words, environment={"PLACE": "here"})
    assert "unknown flag: --unknown-here" in done.stderr
