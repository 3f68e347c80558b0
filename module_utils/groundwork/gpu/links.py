"""How GPUs are connected: NVLinks, the fabric they form, and what lies between two of them (`nvidia-smi topo -m`).

https://docs.nvidia.com/deploy/nvml-api/group__NvLink.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from ansible.module_utils.groundwork.gpu.model import Fabric, Gpu, NvLink, Pair
from ansible.module_utils.groundwork.gpu.nvml import Nvml
from ansible.module_utils.groundwork.gpu.pci import sysfs_bus_id

KINDS = {0: "gpu", 1: "npu", 2: "switch"}
"""nvmlIntNvLinkDeviceType_t."""
PATHS = {10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""nvmlGpuTopologyLevel_t, in nvidia-smi's words."""
FABRIC_STATES = ("not_supported", "not_started", "in_progress", "completed")
"""NVML_GPU_FABRIC_STATE_*."""
FABRIC_STRUCTURES = ("c_nvmlGpuFabricInfo_v3_t", "c_nvmlGpuFabricInfo_v2_t")

Paths = dict[tuple[int, int], "str | None"]
"""By the indices of two GPUs what lies between them."""


def nvlinks(nvml: Nvml, handle: object) -> tuple[NvLink, ...]:
    """The NVLinks of a GPU; none where it has none. NVML says by a refusal where they end."""
    states = list(_states(nvml, handle))
    names = ["NVLINK_GET_VERSION"] * len(states) + ["NVLINK_GET_SPEED"] * len(states)
    values = nvml.named_fields(handle, names, [*range(len(states))] * 2)
    told = zip(states, values, values[len(states) :], strict=False)
    return tuple(_link(nvml, handle, index, *link) for index, link in enumerate(told))


def _states(nvml: Nvml, handle: object) -> Iterator[bool]:
    for index in range(nvml.constant("NVLINK_MAX_LINKS") or 0):
        state = nvml.hint("DeviceGetNvLinkState", handle, index)
        if state is None:
            return
        yield bool(state)


def _link(nvml: Nvml, handle: object, index: int, active: bool, version: int | None, speed: int | None) -> NvLink:
    if not active:
        return NvLink(index, active, version)
    remote = nvml.hint("DeviceGetNvLinkRemotePciInfo", handle, index)
    kind = nvml.hint("DeviceGetNvLinkRemoteDeviceType", handle, index)
    return NvLink(index, active, version, speed, KINDS.get(kind), remote and sysfs_bus_id(remote.busId))


def fabric(nvml: Nvml, handle: object) -> Fabric | None:
    """Where a GPU stands with NVLink's fabric; None before Hopper."""
    info = nvml.filled("DeviceGetGpuFabricInfoV", FABRIC_STRUCTURES, handle)
    if info is None:
        return None
    state = info.state & 0xFF  # a byte in NVML, more in its bindings
    return Fabric(
        state=FABRIC_STATES[state] if state < len(FABRIC_STATES) else str(state),
        status=nvml.word(info.status),
        clique_id=info.cliqueId,
        cluster_uuid=_uuid(bytes(info.clusterUuid)),
        health_mask=info.healthMask,
    )


def _uuid(octets: bytes) -> str:
    text = octets.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def paths(nvml: Nvml, indices: Sequence[int]) -> Paths:
    """What lies between every two of these GPUs on PCIe."""
    handles = {index: nvml.ask("DeviceGetHandleByIndex", index) for index in indices}
    return {
        (one, other): PATHS.get(nvml.hint("DeviceGetTopologyCommonAncestor", handles[one], handles[other]))
        for one, other in itertools.combinations(indices, 2)
    }


def pairs(gpus: Iterable[Gpu], found: Paths) -> tuple[Pair, ...]:
    """The cells of the matrix above its diagonal, for those GPUs whose paths were found."""
    by_index = {gpu.index: gpu for gpu in gpus}
    return tuple(Pair(both, path, links_between(*(by_index[index] for index in both))) for both, path in found.items())


def links_between(one: Gpu, other: Gpu) -> int:
    """How many NVLinks two GPUs have for each other: their direct ones, or through switches as many as both have."""
    place = other.pci.bus_id if other.pci else None
    active = [link for link in one.nvlinks or () if link.active]
    direct = sum(link.remote_bus_id == place for link in active if link.remote_kind == "gpu")
    return direct or min(_to_switches(one), _to_switches(other))


def _to_switches(gpu: Gpu) -> int:
    return sum(link.active and link.remote_kind == "switch" for link in gpu.nvlinks or ())
