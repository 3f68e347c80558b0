"""What is known of a GPU that can be partitioned, what it shall become, and the steps between.

Words are the vendor's: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.gpu.model import Failure, Process

MIG_DISABLED = "disabled"
MIG_ENABLED = "enabled"


@dataclass(frozen=True)
class Placement:
    """Memory slices of a GPU: `size` of them from `start` on."""

    start: int
    size: int

    def __str__(self) -> str:
        """As nvidia-smi writes it."""
        return f"{self.start}:{self.size}"

    def overlaps(self, other: Placement) -> bool:
        """Whether both want one slice."""
        return self.start < other.start + other.size and other.start < self.start + self.size


@dataclass(frozen=True)
class Profile:
    """A kind of GPU instance, as NVML offers it on one GPU.

    id          what NVML makes instances by; it counts for this GPU alone
    name        as nvidia-smi and the resources of Kubernetes name it, 1g.10gb+me
    slices      compute slices
    max_count   how many a GPU takes at most
    placements  where one may lie
    """

    id: int
    name: str
    slices: int
    max_count: int
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Instance:
    """A GPU instance. `whole`: one compute instance, `uuid`, has all of its slices; programs see that as a device.

    In a forecast id and uuid are None: the driver gives them.
    """

    profile: str
    placement: Placement
    id: int | None = None
    uuid: str | None = None
    whole: bool = True


@dataclass(frozen=True)
class Card:
    """A GPU.

    device_id     as in a device-filter, 0x233010DE: PCI device, then vendor
    mode_current  enabled or disabled; None where the GPU cannot be partitioned
    mode_pending  what becomes current at the next reset
    devices       UUIDs of the MIG devices that programs see; more than instances where one is split
    processes     all that hold the GPU or an instance of it
    error         why the GPU does not answer; then only its index is known
    """

    index: int
    uuid: str = ""
    name: str = ""
    device_id: str = ""
    mode_current: str | None = None
    mode_pending: str | None = None
    profiles: tuple[Profile, ...] = ()
    instances: tuple[Instance, ...] = ()
    devices: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()
    error: Failure | None = None

    def __str__(self) -> str:
        """For people."""
        return f"GPU {self.index} ({self.uuid}, {self.name})" if self.uuid else f"GPU {self.index}"

    @property
    def layout(self) -> tuple[str | None, str | None, tuple[Instance, ...]]:
        """What a change of this card means."""
        return self.mode_current, self.mode_pending, self.instances


@dataclass(frozen=True)
class Layout:
    """What a GPU shall be: whole, or cut into so many instances of each profile."""

    enabled: bool
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def mode(self) -> str:
        """As Card spells it."""
        return MIG_ENABLED if self.enabled else MIG_DISABLED


@dataclass(frozen=True)
class SetMode:
    """Turn MIG mode on or off."""

    enabled: bool

    def __str__(self) -> str:
        """For people."""
        return f"{'enable' if self.enabled else 'disable'} MIG mode"


@dataclass(frozen=True)
class Destroy:
    """Take a GPU instance away, its compute instances first."""

    instance: Instance

    def __str__(self) -> str:
        """For people."""
        return f"destroy {self.instance.profile} at {self.instance.placement}"


@dataclass(frozen=True)
class Create:
    """Make a GPU instance with one compute instance that has all of it."""

    profile: Profile
    placement: Placement

    def __str__(self) -> str:
        """For people."""
        return f"create {self.profile.name} at {self.placement}"


Action = SetMode | Destroy | Create


@dataclass(frozen=True)
class Plan:
    """The steps for one GPU, in order; none where it is as declared."""

    card: Card
    actions: tuple[Action, ...] = ()


def text(cards: tuple[Card, ...]) -> str:
    """The layout of GPUs for a diff. Ids and UUIDs are left out: a forecast does not know them."""
    return "".join(f"{line}\n" for card in cards if card.mode_current for line in _lines(card))


def to_dict(card: Card) -> dict[str, Any]:
    """The shape that module nvidia_mig returns."""
    return {
        "index": card.index,
        "uuid": card.uuid,
        "name": card.name,
        "mode_current": card.mode_current,
        "mode_pending": card.mode_pending,
        "instances": [
            {
                "uuid": instance.uuid,
                "profile": instance.profile,
                "placement": {"start": instance.placement.start, "size": instance.placement.size},
                "gpu_instance_id": instance.id,
            }
            for instance in card.instances
        ],
    }


def _lines(card: Card) -> list[str]:
    pending = f", {card.mode_pending} after a reset" if card.mode_pending != card.mode_current else ""
    instances = sorted(card.instances, key=lambda instance: instance.placement.start)
    places = [f"  {one.profile} at {one.placement}{'' if one.whole else ', not one device'}" for one in instances]
    return [f"{card}: MIG {card.mode_current}{pending}", *places]
