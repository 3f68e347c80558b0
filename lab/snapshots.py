"""Stages of a lab, saved and brought back: all that its hosts keep, copied while they are shut down."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import hosts, lifecycle, namespace, paths
from lab.errors import LabError
from lab.model import Lab
from lab.progress import step
from lab.run import run

KEPT = ("upper", "var-snap", "etc", "layers")


def save(lab: Lab, stage: str) -> None:
    """Save the lab's hosts as `stage`; a stage of that name is replaced."""
    if not lifecycle.NAME.fullmatch(stage):
        raise LabError(f"{stage!r} is no name for a stage", "use small letters, digits and hyphens, a letter first")
    with namespace.held(), paths.locked(f"lab-{lab.name}"), step(f"Save stage {stage}"):
        lifecycle.stop(lab)
        with paths.replacing(_directory(lab, stage)) as new:
            hosts.for_each(_names(lab), lambda name: _copy(lab.host_directory(name), new / name))
        lifecycle.start(lab)


def restore(lab: Lab, stage: str) -> None:
    """Bring the lab's hosts back to what they were when `stage` was saved.

    Raises:
        LabError: there is no such stage, or it was saved with other hosts.
    """
    saved = _existing(lab, stage)
    names = {path.name for path in saved.iterdir()}
    if names != set(_names(lab)):
        remedy = f"restore it in a lab with these hosts: {', '.join(sorted(names))}"
        raise LabError(f"stage {stage!r} was saved with other hosts than lab {lab.name!r} has", remedy)
    with namespace.held(), paths.locked(f"lab-{lab.name}"), step(f"Restore stage {stage}"):
        lifecycle.stop(lab, patience_seconds=0)  # what they would still write is thrown away
        hosts.for_each(_names(lab), lambda name: _replace(saved / name, lab.host_directory(name)))
        lifecycle.start(lab)


def delete(lab: Lab, stage: str) -> None:
    """Delete a stage."""
    shutil.rmtree(_existing(lab, stage))


def stages(lab: Lab) -> list[str]:
    """List the lab's stages."""
    return sorted(path.name for path in (lab.directory / "snapshots").glob("[a-z]*"))


def _names(lab: Lab) -> list[str]:
    return [host.name for host in lab.hosts]


def _directory(lab: Lab, stage: str) -> Path:
    return lab.directory / "snapshots" / stage


def _existing(lab: Lab, stage: str) -> Path:
    if stage in stages(lab):
        return _directory(lab, stage)
    raise LabError(f"lab {lab.name!r} has no stage {stage!r}", f"its stages are: {', '.join(stages(lab)) or 'none'}")


def _replace(saved: Path, directory: Path) -> None:
    with paths.replacing(directory) as new:
        _copy(saved, new)
        for name in ("work", "root"):
            (new / name).mkdir(mode=0o755)


def _copy(source: Path, target: Path) -> None:
    """Copy what a host keeps, its extended attributes and device nodes (an overlay's marks of deletion) included."""
    target.mkdir(exist_ok=True)
    run(["cp", "-a", "--reflink=auto", *(str(source / name) for name in KEPT), str(target)])
