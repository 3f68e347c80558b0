"""Everything that a lab is made of, built in order of need and in parallel where independent.

A part is a function that builds one kind of thing into the cache; it returns at once when what is there is current.
What a part needs of others stands in PARTS, so that programs compile while the hosts' file systems are downloaded.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from lab import charts, images, manifests, mirror, packages, programs, rootfs, snaps, wheels
from lab.errors import LabError

PARTS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "rootfs": (rootfs.build, ()),
    "programs": (programs.build, ()),
    "wheels": (wheels.build, ()),
    "charts": (charts.build, ("programs",)),
    "manifests": (manifests.build, ("programs",)),
    "snaps": (snaps.build, ("programs",)),
    "packages": (packages.build, ("programs", "rootfs")),
    "images-without-programs": (images.build_without_programs, ()),
    "images": (images.build, ("programs", "wheels", "images-without-programs")),
    "mirror": (mirror.build, ("rootfs",)),
}


def build(parts: Iterable[str] | None = None) -> None:
    """Build the named parts and all that they need; every part when none is named.

    Raises:
        LabError: a name is not a part, or a part failed; parts that were under way are waited for first.
    """
    wanted = _with_needs(PARTS if parts is None else parts)
    order = graphlib.TopologicalSorter({name: set(PARTS[name][1]) for name in wanted})
    order.prepare()
    with ThreadPoolExecutor(max_workers=4) as pool:
        running: dict[Future[object], str] = {}
        while order.is_active():
            running |= {pool.submit(PARTS[name][0]): name for name in order.get_ready()}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                order.done(running.pop(future))
                future.result()


def _with_needs(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if name not in PARTS:
            raise LabError(f"there is no part called {name!r} to build", f"choose from: {', '.join(PARTS)}")
        found |= {name} | _with_needs(PARTS[name][1])
    return found
