"""Install, refresh and remove: snapd's tasks in snapd's order. A task that fails undoes those before it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import assertions, contents, hooks, layout, services, state, store, system, units
from .errors import NothingToDoError, SnapError
from .state import Snap


def install(target: str, channel: str, classic: bool, dangerous: bool) -> Snap:
    """Install a snap from a file or, by name, from the store.

    Raises:
        NothingToDoError: it is installed already.
        SnapError: it cannot be installed; nothing of it is left.
    """
    if not _is_file(target) and target in state.installed():
        raise NothingToDoError(f"snap \"{target}\" is already installed, see 'snap help refresh'")
    snap = _from_file(Path(target), dangerous) if _is_file(target) else store.fetch(target, store.full_channel(channel))
    if snap.confinement == "classic" and not classic:
        raise SnapError(_needs_classic(snap.name))
    _ensure_prerequisites(snap)
    old = state.installed().get(snap.name)
    if old is not None:
        return _replace(old, replace(snap, config=old.config, hold=old.hold, channel=snap.channel or old.channel))
    _undone_on_failure(snap, [_link, _first_start])
    return state.get(snap.name)


def refresh(name: str, channel: str) -> Snap:
    """Bring an installed snap to what a channel of the store has.

    Raises:
        NothingToDoError: there is nothing newer.
        SnapError: it is not installed, or the store does not give it.
    """
    old = state.get(name)
    wanted = store.full_channel(channel) if channel else old.channel or "latest/stable"
    new = store.fetch(name, wanted)
    if new.revision != old.revision:
        return _replace(old, replace(new, config=old.config, hold=old.hold))
    if wanted == old.channel:
        raise NothingToDoError(f'snap "{name}" has no updates available')
    return state.change(name, channel=wanted)


def remove(name: str) -> None:
    """Remove a snap with its data.

    Raises:
        NothingToDoError: it is not installed.
        SnapError: another snap needs it.
    """
    snap = state.installed().get(name)
    if snap is None:
        raise NothingToDoError(f'snap "{name}" is not installed')
    users = [other.name for other in state.installed().values() if other.base == name]
    if users:
        raise SnapError(
            f'cannot remove "{name}": snap "{name}" is not removable: snap is being used by snap {", ".join(users)}.'
        )
    if snap.daemons:
        services.control("stop", [name], switch=True)
    hooks.run_hook(snap, "remove")
    _unlink(snap)


def _is_file(target: str) -> bool:
    return "/" in target or target.endswith(".snap")


def _from_file(file: Path, dangerous: bool) -> Snap:
    digest = contents.digest_of(file)
    asserted = assertions.find(digest)
    if asserted is None and not dangerous:
        raise SnapError(f'cannot find signatures with metadata for snap/component "{file}"')
    kept = _keep(file, digest)
    return contents.read(digest, kept, asserted.revision if asserted else "x1", asserted is not None, "")


def _keep(file: Path, digest: str) -> Path:
    """Copy the file into snapd's own folder, unless the lab shares what is in it and the copy would only take room."""
    if (layout.SHARED_CONTENTS / digest).is_dir():
        return file
    kept = layout.STATE / "snaps" / f"{digest}.snap"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, kept)
    return kept


def _needs_classic(name: str) -> str:
    return (
        f'This revision of snap "{name}" was published using classic confinement and thus may\n'
        "perform arbitrary system changes outside of the security sandbox that snaps are\n"
        "usually confined to, which may put your system at risk.\n\n"
        "If you understand and want to proceed repeat the command including --classic."
    )


def _ensure_prerequisites(snap: Snap) -> None:
    """Install what an app stands on, if it is not there (overlord/snapstate/handlers_prereq.go)."""
    if snap.type != "app":
        return
    for kind, name in (("system snap", "snapd"), ("snap base", snap.base)):
        if name and name not in state.installed():
            try:
                install(name, "", classic=False, dangerous=False)
            except SnapError as error:
                raise SnapError(
                    "cannot perform the following tasks:\n"
                    f'- Ensure prerequisites for "{snap.name}" are available (cannot install {kind} "{name}": {error})'
                ) from None


def _undone_on_failure(snap: Snap, tasks: list[Callable[[Snap], None]]) -> None:
    try:
        for task in tasks:
            task(snap)
    except SnapError:
        if snap.daemons and (layout.UNITS / units.name(snap.name, snap.daemons[0])).exists():
            system.systemctl("stop", *(units.name(snap.name, daemon) for daemon in snap.daemons))
        _unlink(snap)
        raise


def _link(snap: Snap) -> None:
    """Mount the snap and give it its folders and commands."""
    contents.mount(snap)
    for folder in (layout.data(snap.name, snap.revision), layout.common(snap.name)):
        folder.mkdir(parents=True, exist_ok=True)
    _point(layout.MOUNTS / snap.name / "current", snap.revision)
    _point(layout.DATA / snap.name / "current", snap.revision)
    layout.BIN.mkdir(parents=True, exist_ok=True)
    for app in snap.apps.keys() - snap.daemons:
        _point(layout.BIN / (snap.name if app == snap.name else f"{snap.name}.{app}"), "/usr/bin/snap")
    state.put(snap)


def _point(link: Path, target: str) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(link)


def _first_start(snap: Snap) -> None:
    hooks.run_hook(snap, "install")
    units.write(snap)
    if snap.daemons:
        services.control("start", [snap.name], switch=True)
    hooks.run_hook(snap, "configure")


def _replace(old: Snap, new: Snap) -> Snap:
    """Put another revision in an installed one's place, with a copy of its data."""
    if old.revision == new.revision:
        return state.change(new.name, channel=new.channel)
    if old.daemons:
        services.control("stop", [old.name])
    to = layout.data(new.name, new.revision)
    shutil.rmtree(to, ignore_errors=True)
    system.run("cp", "--archive", str(layout.data(old.name, old.revision)), str(to))
    _link(new)
    units.write(new)
    hooks.run_hook(new, "post-refresh")
    if new.daemons:
        services.control("start", [new.name])
    hooks.run_hook(new, "configure")
    return state.get(new.name)


def _unlink(snap: Snap) -> None:
    if snap.daemons:
        units.remove(snap)
    for link in layout.BIN.glob("*") if layout.BIN.is_dir() else []:
        if link.name.partition(".")[0] == snap.name:
            link.unlink()
    for revision in (layout.MOUNTS / snap.name).glob("*"):
        if revision.is_symlink():
            revision.unlink()
        elif revision.is_dir():
            contents.unmount(replace(snap, revision=revision.name))
    for folder in (layout.MOUNTS / snap.name, layout.DATA / snap.name):
        shutil.rmtree(folder, ignore_errors=True)
    state.forget(snap.name)
