"""The snaps of the site's mirror: microk8s and what it needs, packed, asserted, and unpacked for the hosts to share.

The mirror has NAME/TRACK/RISK/NAME.snap with NAME.assert and SHA256SUMS beside it, which is what `snap ack` and
`snap install` want, and NAME/channels, which the double of snapd reads when it plays the store. What is in a snap lies
unpacked in the cache under the SHA3-384 of its file: hosts mount that, so that a program is in memory once for all.
"""

from __future__ import annotations

import base64
import compileall
import hashlib
import json
import py_compile
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lab import images, kept, paths, programs
from lab.run import run

DOUBLE = Path(__file__).with_name("doubles") / "microk8s"
SNAPS = paths.MIRROR / "snaps"
KEY = paths.KEYS / "snap-assertions.pem"
MOUNT_UNITS = ("*/hosts/*/upper", "*/snapshots/*/*/upper")  # where hosts, and saved ones, have their systemd's units
PUBLIC_KEY = paths.SNAP_CONTENTS / "assertion.pub"

# where the built programs go in the snap
PROGRAMS = {
    "kubernetes": ".",
    "containerd": "bin",
    "runc": "bin",
    "etcd": "bin",
    "helm": "bin",
    "cni-plugins": "opt/cni/bin",
}
COMMANDS = (
    *("add-node", "addons", "config", "ctr", "disable", "enable", "helm", "helm3", "join", "kubectl", "leave"),
    *("refresh-certs", "remove-node", "start", "status", "stop", "version"),
)
DAEMONS = ("apiserver-kicker", "apiserver-proxy", "cluster-agent", "etcd", "flanneld", "k8s-dqlite", "kubelite")
HOOKS = ("install", "configure", "remove")
# zstd at its fastest: half the time of gzip for the same size; times are zeroed, so that equal contents are equal files
SQUASHFS = ("-comp", "zstd", "-Xcompression-level", "1", "-all-root", "-no-xattrs", "-mkfs-time", "0", "-all-time", "0")
_VERSIONS = yaml.safe_load((paths.PROJECT / "versions.yml").read_text())


@dataclass(frozen=True)
class Snap:
    """A snap to pack.

    Args:
        name: its name.
        channel: where the mirror has it, track/risk.
        metadata: its meta/snap.yaml.
        fill: puts its contents into a directory.
        inputs: all that its contents depend on.
    """

    name: str
    channel: str
    metadata: dict[str, Any]
    fill: Callable[[Path], object]
    inputs: tuple[object, ...]

    @property
    def key(self) -> str:
        """Return what changes with all that the snap is made of."""
        return kept.key(self.metadata, *self.inputs, SQUASHFS, Path(__file__))

    @property
    def revision(self) -> int:
        """A number of its own for each content, as the store gives."""
        return 1000 + int(self.key, 16) % 9000


def build() -> None:
    """Build what is not current of the mirror's snaps."""
    with paths.locked("snaps"):
        _make_key()
        for snap in (_system("core22", "base"), _system("snapd", "snapd"), _microk8s()):
            if kept.keep(SNAPS / snap.name, f"Pack the snap {snap.name}", partial(_pack, snap), snap.key):
                _forget_unused()


# --- what is in them --------------------------------------------------------------------------------------------------


def _system(name: str, kind: str) -> Snap:
    """A snap that others need and that has nothing in it: hosts have their own /usr."""
    metadata = {"name": name, "version": "20260520", "summary": f"The lab's {name}", "type": kind}
    return Snap(name, "latest/stable", metadata, lambda _: None, ())


def _microk8s() -> Snap:
    version = f"v{_VERSIONS['lab']['kubernetes']}"
    metadata = {
        "name": "microk8s",
        "version": version,
        "summary": "Kubernetes for workstations and appliances",
        "confinement": "classic",
        "base": _VERSIONS["microk8s"]["base_snap"],
        "apps": _apps(),
    }
    built = tuple(programs.directory(name).name for name in PROGRAMS)
    return Snap("microk8s", _VERSIONS["microk8s"]["channel"], metadata, _fill_microk8s, (DOUBLE, built, _image_names()))


def _apps() -> dict[str, dict[str, Any]]:
    """Commands and services, as canonical/microk8s's snapcraft.yaml has them."""
    wrapper = "microk8s.wrapper"
    apps: dict[str, dict[str, Any]] = {"microk8s": {"command": wrapper}}
    apps |= {name: {"command": f"{wrapper} {name}"} for name in COMMANDS}
    apps |= {f"daemon-{name}": {"command": f"{wrapper} daemon-{name}", "daemon": "simple"} for name in DAEMONS}
    # Without a datastore an API server takes its time to end (MicroK8s: 30 s), and nobody waits for anything it has to
    # say.
    apps["daemon-kubelite"] |= {"after": ["daemon-containerd"], "stop-timeout": "5s"}
    apps["daemon-containerd"] = {
        "command": f"{wrapper} daemon-containerd",
        "daemon": "notify",
        "stop-mode": "sigterm",
        "restart-condition": "always",
        "start-timeout": "5m",
    }
    return apps


def _image_names() -> dict[str, str]:
    """Manifests of the snap that name an image built here."""
    return {
        "addons/core/manifests/dns.yaml": images.load("coredns").reference,
        "cni.yaml": images.load("kube-network-policies").reference,
    }


def _fill_microk8s(root: Path) -> None:
    shutil.copytree(DOUBLE / "snap", root, dirs_exist_ok=True)
    for name, image in _image_names().items():
        (root / name).write_text((root / name).read_text().replace("$IMAGE", image))
    for program, folder in PROGRAMS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for file in programs.directory(program).iterdir():
            shutil.copy(file, root / folder)
    _write_script(root / "bin/dqlite", 'exec "$(dirname "$0")/../microk8s.wrapper" dqlite "$@"')
    for hook in HOOKS:
        _write_script(root / "meta/hooks" / hook, f'exec "$SNAP/microk8s.wrapper" hook-{hook}')
    _copy_python(root / "lib/python3")


def _copy_python(folder: Path) -> None:
    """The double's package, and PyYAML without its compiled part, which any Python of a host can run."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(DOUBLE / "double", folder / "microk8s_double", ignore=ignored)
    shutil.copytree(Path(yaml.__file__).parent, folder / "yaml", ignore=ignored)
    # Hosts cannot write beside it; without compiled files each command would start half as fast.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked, stripdir=str(folder))


def _write_script(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


# --- packing ----------------------------------------------------------------------------------------------------------


def _pack(snap: Snap, directory: Path) -> None:
    """Fill the mirror's directory of a snap, and the contents that hosts share."""
    folder = directory / snap.channel
    folder.mkdir(parents=True)
    file = folder / f"{snap.name}.snap"
    with tempfile.TemporaryDirectory(prefix=f".{snap.name}.", dir=paths.SNAP_CONTENTS) as work:
        root = Path(work) / "root"
        (root / "meta").mkdir(parents=True)
        root.chmod(0o755)
        # JSON is YAML too, and the hosts' Python has no YAML.
        (root / "meta/snap.yaml").write_text(json.dumps(snap.metadata, indent=1) + "\n")
        snap.fill(root)
        run(["mksquashfs", root, file, "-noappend", "-no-progress", "-quiet", *SQUASHFS])
        _share(root, file)
    (folder / f"{snap.name}.assert").write_text(_assertions(snap, file))
    (folder / "SHA256SUMS").write_text("".join(_sum(each) for each in sorted(folder.iterdir())))
    (directory / "channels").write_text(f"{snap.channel}\n")


def _share(root: Path, file: Path) -> None:
    shared = paths.SNAP_CONTENTS / _digest(file, "sha3_384").hex()
    if not shared.exists():
        root.rename(shared)


def _sum(file: Path) -> str:
    return f"{_digest(file, 'sha256').hex()}  {file.name}\n"


def _digest(file: Path, kind: str) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, kind).digest()


def _forget_unused() -> None:
    """Remove contents that neither the mirror has any more nor a host, or a saved stage of one, mounts."""
    current = {_digest(file, "sha3_384").hex() for file in SNAPS.glob("*/*/*/*.snap")}
    units = [unit for pattern in MOUNT_UNITS for unit in paths.LABS.glob(f"{pattern}/etc/systemd/system/snap-*.mount")]
    mounted = "".join(unit.read_text() for unit in units)
    for contents in paths.SNAP_CONTENTS.iterdir():
        if contents.is_dir() and contents.name not in current and contents.name not in mounted:
            shutil.rmtree(contents)


# --- assertions -------------------------------------------------------------------------------------------------------


def _make_key() -> None:
    """Make the key that signs assertions, once, and show hosts its public part."""
    paths.SNAP_CONTENTS.mkdir(parents=True, exist_ok=True)
    paths.KEYS.mkdir(parents=True, exist_ok=True)
    if not KEY.exists():
        new = KEY.with_suffix(".new")
        new.touch(mode=0o600)
        run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", new])
        new.rename(KEY)
    if not PUBLIC_KEY.exists():
        run(["openssl", "pkey", "-in", KEY, "-pubout", "-out", PUBLIC_KEY])


def _assertions(snap: Snap, file: Path) -> str:
    """What `snap ack` takes: whose the snap is, and which revision a file with this digest is."""
    identity = hashlib.sha256(snap.name.encode()).hexdigest()[:32]
    common = {"authority-id": "canonical", "series": "16", "snap-id": identity}
    now = {"timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    digest = base64.urlsafe_b64encode(_digest(file, "sha3_384")).decode()
    declaration = {"type": "snap-declaration", **common, "publisher-id": "canonical", "snap-name": snap.name, **now}
    revision = {
        "type": "snap-revision",
        "authority-id": "canonical",
        "snap-sha3-384": digest,
        "developer-id": "canonical",
        "snap-id": identity,
        "snap-revision": str(snap.revision),
        "snap-size": str(file.stat().st_size),
        **now,
    }
    return "\n".join(_signed(statement) for statement in (declaration, revision))


def _signed(statement: dict[str, str]) -> str:
    """A statement's headers, a blank line, and the signature of the headers."""
    headers = "\n".join(f"{key}: {value}" for key, value in statement.items())
    with tempfile.TemporaryDirectory() as work:
        (content := Path(work) / "content").write_text(headers)
        signature = Path(work) / "signature"
        run(["openssl", "pkeyutl", "-sign", "-inkey", KEY, "-rawin", "-in", content, "-out", signature])
        return f"{headers}\n\n{base64.b64encode(signature.read_bytes()).decode()}\n"
