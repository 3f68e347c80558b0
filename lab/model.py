"""What a lab is: its name, its network and its hosts, kept in labs/<name>/lab.json."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import paths
from lab.errors import LabError

GATEWAY, MIRROR, FIRST_HOST = 1, 2, 11  # the last number of addresses in a lab's network


@dataclass(frozen=True)
class Gpus:
    """The GPUs that are plugged into a host: `count` of one `model`, and what switches connect them, if any."""

    model: str
    count: int
    switches: int = 0


@dataclass(frozen=True)
class Host:
    """A host of a lab.

    Attributes:
        name: its host name.
        os: the root file system it runs, such as "debian-12".
        address: its IPv4 address.
        gpus: what is plugged in, or None.
        memory_mib: the limit of all its processes together; none if None.
    """

    name: str
    os: str
    address: str
    gpus: Gpus | None = None
    memory_mib: int | None = None


@dataclass(frozen=True)
class Lab:
    """A lab. `subnet` is a /24; `mirror`: whether it has one; `share`: the host that serves a filesystem, if any."""

    name: str
    subnet: str
    mirror: bool = True
    hosts: tuple[Host, ...] = ()
    share: str = ""

    @property
    def directory(self) -> Path:
        """Where everything of this lab is kept."""
        return paths.LABS / self.name

    @property
    def network(self) -> str:
        """The name of podman's network."""
        return f"groundwork-{self.name}"

    def address(self, number: int) -> str:
        """Return the address with this last number."""
        return str(ipaddress.IPv4Network(self.subnet)[number])

    def container(self, host: str) -> str:
        """Return the name of a host's container."""
        return f"{self.name}-{host}"

    def host(self, name: str) -> Host:
        """Return the host called `name`.

        Raises:
            LabError: there is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"lab {self.name!r} has no host {name!r}", f"its hosts are: {known or 'none'}")

    def with_host(self, host: Host) -> Lab:
        """Return this lab with one host more."""
        return replace(self, hosts=(*self.hosts, host))

    def host_directory(self, host: str) -> Path:
        """Where everything of one host is kept."""
        return self.directory / "hosts" / host

    def layers(self, host: str) -> list[Path]:
        """Return the layers that a host was made of, the uppermost first; none before it was made."""
        file = self.host_directory(host) / "layers"
        return [Path(line) for line in file.read_text().splitlines()] if file.exists() else []

    def next_address(self) -> str:
        """Return the first address that no host has."""
        taken = {host.address for host in self.hosts}
        free = (self.address(number) for number in range(FIRST_HOST, 250))
        return next(address for address in free if address not in taken)

    def save(self) -> None:
        """Write lab.json."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # it holds the key to the hosts
        text = json.dumps(asdict(self), indent=2)
        new = self.directory / ".lab.json"
        new.write_text(text + "\n")
        new.rename(self.directory / "lab.json")


def load(name: str) -> Lab | None:
    """Read a lab; None if there is no lab of this name."""
    try:
        data = json.loads((paths.LABS / name / "lab.json").read_text())
    except FileNotFoundError:
        return None
    hosts = tuple(Host(**{**each, "gpus": Gpus(**each["gpus"]) if each["gpus"] else None}) for each in data["hosts"])
    return Lab(data["name"], data["subnet"], data["mirror"], hosts, data.get("share", ""))


def existing(name: str) -> Lab:
    """Read a lab that must be there.

    Raises:
        LabError: it is not.
    """
    if lab := load(name):
        return lab
    raise LabError(f"there is no lab called {name!r}", f"raise it: script/lab up --lab {name}")


def every() -> Iterable[Lab]:
    """Read all labs of this cache."""
    names = (file.parent.name for file in sorted(paths.LABS.glob("*/lab.json")))
    return [lab for name in names if (lab := load(name))]
