"""Faults as verbs: what breaks in a lab on request. A new one is a function and a line in FAULTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import hosts, lifecycle, mirror, namespace
from lab.doubles.nvidia import hardware
from lab.errors import LabError
from lab.model import Lab
from lab.run import run

# A container loses NVIDIA's devices, as systemd's cgroup driver makes it at a daemon-reload. Arguments: NAMESPACE POD.
# Each entry is taken back as it was granted: v1's devices.deny matches no entry by a wildcard.
_DENY_GPUS = """\
labels="labels.\\"io.kubernetes.pod.namespace\\"==$1,labels.\\"io.kubernetes.pod.name\\"==$2"
deny='grep "^c 195:" "$1/devices.list" | while read -r entry; do echo "$entry" > "$1/devices.deny"; done'
for container in $(/snap/bin/microk8s ctr containers ls -q "$labels" 2> /dev/null); do
    for group in $(/usr/lib/lab/with-cgroups find /sys/fs/cgroup/devices -type d -name "$container"); do
        /usr/lib/lab/with-cgroups sh -c "$deny" sh "$group" && found=yes
    done
done
[ -n "${found:-}" ] || { echo "no container of pod $1/$2 is on this host" >&2; exit 1; }
"""


# What a kernel's message is in journald's eyes, but for the transport, which only the kernel has. /dev/kmsg is one for
# all hosts of the lab: what is written there would be everyone's.
_LOG = """\
logger --journald << "end"
SYSLOG_IDENTIFIER=kernel
SYSLOG_FACILITY=0
PRIORITY=3
MESSAGE={line}
end
"""


@dataclass(frozen=True)
class Fault:
    """A fault: what it takes ([...] may be left out), what happens, and what brings it about, given a lab and words."""

    takes: tuple[str, ...]
    help: str
    provoke: Callable[..., None]

    @property
    def least(self) -> int:
        """How many words it takes at least."""
        return sum(not (name.startswith("[") and name.endswith("]")) for name in self.takes)


def provoke(lab: Lab, kind: str, arguments: Sequence[str]) -> None:
    """Bring a fault about.

    Raises:
        LabError: there is no such fault, or its arguments are not what it takes.
    """
    if kind not in FAULTS:
        raise LabError(f"there is no fault called {kind!r}", f"choose from: {', '.join(FAULTS)}")
    fault = FAULTS[kind]
    if not fault.least <= len(arguments) <= len(fault.takes):
        usage = " ".join(("script/lab fault", kind, *fault.takes))
        raise LabError(f"fault {kind} takes {len(fault.takes)} arguments, not {len(arguments)}", usage)
    fault.provoke(lab, *arguments)


def _etc(lab: Lab, host: str) -> Path:
    """Return the host's /etc/lab: its hardware, and what makes its doubles fail."""
    return lab.host_directory(lab.host(host).name) / "etc"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise LabError(f"{text!r} is not a number", "give a number, such as 0")
    return int(text)


def _setting(text: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise LabError(f"{text!r} sets nothing", "write KEY=VALUE, such as temperature=91")
    return {name: value}


def _log(lab: Lab, host: str, line: str) -> None:
    """Write into the host's journal what the driver writes into the kernel's log; a host that is off logs nothing."""
    with namespace.held():
        is_up = hosts.is_running(lab, host)
    if is_up:
        run([*hosts.ssh(lab, lab.host(host)), "sh"], stdin=_LOG.format(line=line), timeout=60)


def _gpu_lost(lab: Lab, host: str, gpu: str) -> None:
    _log(lab, host, hardware.lose(_etc(lab, host), _number(gpu)))


def _gpu_unknown(lab: Lab, host: str, gpu: str) -> None:
    hardware.put(_etc(lab, host), _number(gpu), fault="unknown")


def _gpu_hang(lab: Lab, host: str, gpu: str, function: str = "") -> None:
    if function:
        hardware.put(_etc(lab, host), _number(gpu), hang=function)
    else:
        hardware.hang(_etc(lab, host), _number(gpu))


def _gpu_fail(lab: Lab, host: str, gpu: str, function: str, code: str, after: str = "0") -> None:
    hardware.put(_etc(lab, host), _number(gpu), fail=f"{function}:{_number(code)}:{_number(after)}")


def _gpu_xid(lab: Lab, host: str, gpu: str, xid: str) -> None:
    _log(lab, host, hardware.xid(_etc(lab, host), _number(gpu), _number(xid)))


def _gpu_ecc(lab: Lab, host: str, gpu: str, count: str) -> None:
    _log(lab, host, hardware.corrupt(_etc(lab, host), _number(gpu), _number(count)))


def _gpu_remap(lab: Lab, host: str, gpu: str, how: str) -> None:
    _log(lab, host, hardware.remap(_etc(lab, host), _number(gpu), how))


def _gpu_retired_pages(lab: Lab, host: str, gpu: str, count: str) -> None:
    _log(lab, host, hardware.retire(_etc(lab, host), _number(gpu), _number(count)))


def _gpu_throttle(lab: Lab, host: str, gpu: str, reason: str) -> None:
    hardware.throttle(_etc(lab, host), _number(gpu), reason)


def _gpu_nvlink(lab: Lab, host: str, gpu: str, links: str) -> None:
    hardware.put(_etc(lab, host), _number(gpu), links_down=links)
    _log(lab, host, hardware.xid(_etc(lab, host), _number(gpu), 74))


def _gpu_pcie(lab: Lab, host: str, gpu: str, generation: str, width: str) -> None:
    hardware.narrow(_etc(lab, host), _number(gpu), _number(generation), _number(width))


def _gpu_fabric(lab: Lab, host: str, state: str) -> None:
    hardware.fabric(_etc(lab, host), state)


def _gpu_memory(lab: Lab, host: str, gpu: str, mib: str) -> None:
    hardware.put(_etc(lab, host), _number(gpu), mem_total_mib=_number(mib))


def _gpu_product(lab: Lab, host: str, gpu: str, model: str) -> None:
    hardware.replace(_etc(lab, host), _number(gpu), model)


def _gpu_unplug(lab: Lab, host: str, gpu: str) -> None:
    hardware.unplug(_etc(lab, host), _number(gpu))


def _gpu_busy(lab: Lab, host: str, gpu: str, pid: str, name: str = "python3", instance: str = "") -> None:
    where = _number(instance) if instance else None
    hardware.occupy(_etc(lab, host), _number(gpu), _number(pid), name, 512, where)


def _gpu_idle(lab: Lab, host: str, gpu: str) -> None:
    hardware.vacate(_etc(lab, host), _number(gpu))


def _gpu_held(lab: Lab, host: str, gpu: str, name: str = "nv-hostengine") -> None:
    hardware.put(_etc(lab, host), _number(gpu), held_by=name)


def _gpu_set(lab: Lab, host: str, gpu: str, setting: str) -> None:
    hardware.put(_etc(lab, host), _number(gpu), **_setting(setting))


def _driver_set(lab: Lab, host: str, setting: str) -> None:
    hardware.put_host(_etc(lab, host), **_setting(setting))


def _gpu_clear(lab: Lab, host: str) -> None:
    hardware.clear(_etc(lab, host))


def _cuda_init(lab: Lab, host: str, code: str) -> None:
    hardware.put_host(_etc(lab, host), cuda_fault=_number(code))


def _driver_mismatch(lab: Lab, host: str, version: str = "580.95.05") -> None:
    hardware.claim(_etc(lab, host), version)


def _device_node(lab: Lab, host: str, name: str) -> None:
    run([*hosts.ssh(lab, lab.host(host)), "rm", f"/dev/{name}"], timeout=60)


def _device_cgroup(lab: Lab, host: str, pod: str) -> None:
    namespace_name, _, name = pod.rpartition("/")
    command = [*hosts.ssh(lab, lab.host(host)), "sh", "-s", "--", namespace_name or "default", name]
    run(command, stdin=_DENY_GPUS, timeout=60)


def _snap_busy(lab: Lab, host: str, snap: str) -> None:
    _set_busy(_etc(lab, host), {snap: "auto-refresh"})


def _stop(lab: Lab, host: str) -> None:
    with namespace.held():
        hosts.stop(lab, lab.host(host).name)


def _mirror_stop(lab: Lab) -> None:
    with namespace.held():
        mirror.stop(lab)


def _mirror_spoil(lab: Lab, path: str) -> None:
    with namespace.held():
        mirror.spoil(lab, path)


def _clear(lab: Lab) -> None:
    for host in lab.hosts:
        hardware.clear(_etc(lab, host.name))
        _set_busy(_etc(lab, host.name), {})
    with namespace.held():
        lifecycle.start(lab)
        if lab.mirror:
            mirror.mend(lab)


def _set_busy(etc: Path, busy: dict[str, str]) -> None:
    """Say which snaps of a host have a change in progress that never ends (the snap double's README)."""
    file = etc / "snapd.json"
    settings = {**json.loads(file.read_text()), "busy": busy}
    file.write_text(json.dumps(settings))


FAULTS = {
    "gpu-lost": Fault(("HOST", "GPU"), "the GPU falls off the bus (Xid 79)", _gpu_lost),
    "gpu-unknown": Fault(("HOST", "GPU"), "calls about the GPU fail with Unknown Error", _gpu_unknown),
    "gpu-hang": Fault(("HOST", "GPU", "[FUNCTION]"), "calls about the GPU do not return; or one function's", _gpu_hang),
    "gpu-fail": Fault(
        ("HOST", "GPU", "FUNCTION", "CODE", "[AFTER]"),
        "one function of NVML fails with this code; one that changes something may go well AFTER times first",
        _gpu_fail,
    ),
    "gpu-xid": Fault(("HOST", "GPU", "XID"), "the driver reports an Xid, to NVML and in the host's journal", _gpu_xid),
    "gpu-ecc": Fault(("HOST", "GPU", "COUNT"), "so many uncorrectable memory errors (Xid 48)", _gpu_ecc),
    "gpu-remap": Fault(("HOST", "GPU", "pending|failed"), "a row of memory is bad (Xid 63 or 64)", _gpu_remap),
    "gpu-retired-pages": Fault(("HOST", "GPU", "COUNT"), "a T4 has retired pages of its memory", _gpu_retired_pages),
    "gpu-throttle": Fault(("HOST", "GPU", "REASON"), "clocks are held back: hw_thermal_slowdown, ...", _gpu_throttle),
    "gpu-nvlink": Fault(("HOST", "GPU", "LINK[,LINK]"), "NVLinks are down (Xid 74)", _gpu_nvlink),
    "gpu-pcie": Fault(("HOST", "GPU", "GENERATION", "WIDTH"), "the PCIe link is slower, or narrower", _gpu_pcie),
    "gpu-fabric": Fault(
        ("HOST", "STATE"), "NVLink's fabric is not_started, in_progress...: CUDA does not initialise (802)", _gpu_fabric
    ),
    "gpu-memory": Fault(("HOST", "GPU", "MIB"), "the GPU has another amount of memory", _gpu_memory),
    "gpu-product": Fault(("HOST", "GPU", "MODEL"), "another card is in the GPU's slot", _gpu_product),
    "gpu-unplug": Fault(("HOST", "GPU"), "the GPU is not there: fewer are counted", _gpu_unplug),
    "gpu-busy": Fault(
        ("HOST", "GPU", "PID", "[NAME]", "[INSTANCE]"),
        "a process computes on the GPU, or on a GPU instance, until gpu-idle",
        _gpu_busy,
    ),
    "gpu-idle": Fault(("HOST", "GPU"), "no process is on the GPU", _gpu_idle),
    "gpu-held": Fault(("HOST", "GPU", "[NAME]"), "a client keeps the GPU open: no reset, no change of mode", _gpu_held),
    "gpu-set": Fault(("HOST", "GPU", "KEY=VALUE"), "any field of a GPU's state (library/double.h)", _gpu_set),
    "driver-set": Fault(
        ("HOST", "KEY=VALUE"), "any field of the host's state, such as fault=no_permission, fault=unknown", _driver_set
    ),
    "gpu-clear": Fault(
        ("HOST",), "the host's GPUs are as new; how they were set, and who computes on them, stays", _gpu_clear
    ),
    "cuda-init": Fault(("HOST", "CODE"), "CUDA does not initialise, for this reason: 802, 999", _cuda_init),
    "driver-mismatch": Fault(
        ("HOST", "[VERSION]"),
        "the loaded kernel module is of another version than the library, until gpu-clear",
        _driver_mismatch,
    ),
    "device-node": Fault(("HOST", "NAME"), "/dev/NAME is gone, until nvidia-modprobe makes it again", _device_node),
    "device-cgroup": Fault(
        ("HOST", "[NAMESPACE/]POD"),
        "the pod's containers lose NVIDIA's device group (195:*) until they end",
        _device_cgroup,
    ),
    "snap-busy": Fault(("HOST", "SNAP"), "the snap is being refreshed, for ever", _snap_busy),
    "stop": Fault(("HOST",), "the host shuts down and stays so", _stop),
    "mirror-stop": Fault((), "the site's mirror does not answer", _mirror_stop),
    "mirror-spoil": Fault(("FILE",), "the mirror serves this file with its last byte changed", _mirror_spoil),
    "clear": Fault((), "GPUs are as new, no snap is busy, hosts and the mirror run, its files are whole", _clear),
}
