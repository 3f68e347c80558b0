"""What `script/lab up` and `down` do. Either can be interrupted anywhere and run again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable

from lab import cgroups, hosts, inventory, machine, mirror, model, namespace, network, paths, rootfs
from lab.errors import LabError
from lab.model import Gpus, Host, Lab
from lab.progress import step
from lab.run import run

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
DEFAULT_LAB = "lab"
_TWO = Gpus("H100-80GB", 2)
DEFAULT_HOSTS = (
    Host("n1", rootfs.DEFAULT, ""),
    Host("n2", rootfs.DEFAULT, "", _TWO),
    Host("n3", rootfs.DEFAULT, "", _TWO),
)


def up(name: str, wanted: Iterable[Host], *, with_mirror: bool = True) -> Lab:
    """Raise a lab, or what of it does not run, or add hosts to it.

    Args:
        name: the lab's name.
        wanted: hosts that it is to have, their addresses empty; none means the default ones for a new lab, and none
            more for an old one.
        with_mirror: whether a new lab has a site mirror.
    """
    planned, lab = list(wanted), model.load(name)
    _check(name, lab, planned)
    if lab is None and not planned:
        planned = list(DEFAULT_HOSTS)
    with_mirror = lab.mirror if lab else with_mirror
    machine.check(len(planned))
    for host in planned:
        rootfs.want(host.os)
    _build(with_mirror)
    with namespace.held(), paths.locked(f"lab-{name}"):
        lab = _planned(name, planned, with_mirror=with_mirror)
        network.create(lab)
        with step(f"Start {len(lab.hosts)} hosts"):
            _start(lab)
        if lab.mirror:
            mirror.start(lab)
        hosts.await_ssh(lab, (host.name for host in lab.hosts))
        inventory.write(lab)
    return lab


def start(lab: Lab) -> None:
    """Start the hosts that do not run, and wait until they answer SSH."""
    hosts.for_each((host.name for host in lab.hosts), lambda name: hosts.start(lab, lab.host(name)))
    hosts.name_each_other(lab)
    hosts.await_ssh(lab, (host.name for host in lab.hosts))


def stop(lab: Lab, patience_seconds: int = hosts.STOP_SECONDS) -> None:
    """Shut all hosts down; with no patience they lose their power instead."""
    hosts.for_each((host.name for host in lab.hosts), lambda name: hosts.stop(lab, name, patience_seconds))


def down(name: str) -> bool:
    """Remove a lab, and with the last one everything that labs share; tell whether there was one."""
    lab = model.load(name)
    if lab is not None:
        with namespace.held(), paths.locked(f"lab-{name}"), step(f"Remove lab {name}"):
            _remove(lab)
    namespace.release()
    return lab is not None


def _check(name: str, lab: Lab | None, wanted: list[Host]) -> None:
    """Refuse what cannot be, before anything is changed."""
    for each in (name, *(host.name for host in wanted)):
        if not NAME.fullmatch(each):
            raise LabError(
                f"{each!r} is no name for a lab or a host",
                "use small letters, digits and hyphens, a letter first, 30 at most",
            )
    names = [host.name for host in wanted]
    if double := next((each for each in names if names.count(each) > 1 or each == "mirror"), None):
        raise LabError(
            f"two hosts cannot be called {double!r}", "give each host a name of its own; the mirror is called mirror"
        )
    for host in wanted:
        rootfs.find(host.os)
        old = next((old for old in lab.hosts if old.name == host.name), None) if lab else None
        if old and (old.os, old.gpus, old.memory_mib) != (host.os, host.gpus, host.memory_mib):
            raise LabError(
                f"host {host.name!r} is there already, and different",
                f"remove the lab first: script/lab down --lab {name}",
            )


def _build(with_mirror: bool) -> None:
    """Build what is missing; without a mirror a lab needs root file systems alone."""
    from lab import build  # builds everything there is, and so imports every module that can build

    build.build(None if with_mirror else ("rootfs",))


def _planned(name: str, wanted: list[Host], *, with_mirror: bool) -> Lab:
    """Write down what the lab is to be, so that `down` knows of everything from here on."""
    with paths.locked("labs"):
        lab = model.load(name) or Lab(name, _subnet(name), mirror=with_mirror)
        for host in wanted:
            if host.name not in {old.name for old in lab.hosts}:
                lab = lab.with_host(Host(host.name, host.os, lab.next_address(), host.gpus, host.memory_mib))
        lab.save()
    return lab


def _subnet(name: str) -> str:
    """The default lab has the pool's first network, as inventories/lab says; others share the rest."""
    others = [lab.subnet for lab in model.every()]
    if name == DEFAULT_LAB:
        return network.allocate(others)
    return network.allocate([*others, *network.routed(), str(next(network.POOL.subnets(new_prefix=24)))])


def _start(lab: Lab) -> None:
    hosts.create_keys(lab)
    for host in lab.hosts:
        hosts.create(lab, host)
    hosts.know_hosts(lab)
    hosts.for_each((host.name for host in lab.hosts), lambda name: hosts.start(lab, lab.host(name)))
    hosts.name_each_other(lab)


def _remove(lab: Lab) -> None:
    hosts.for_each(hosts.states(lab), lambda name: hosts.discard(lab, name, patience_seconds=0))
    stop(lab)
    network.remove(lab)
    cgroups.remove(lab.name)
    if [other.name for other in model.every()] == [lab.name]:
        network.clean()
    _delete(lab)


def _delete(lab: Lab) -> None:
    """Delete the lab's directory, lab.json last: while it is there `down` can be run again."""
    for path in lab.directory.iterdir():
        if path.name != "lab.json":
            run(["rm", "-rf", "--one-file-system", str(path)])
    shutil.rmtree(lab.directory)
