"""Tells Prometheus of this node's GPUs and MIG devices, and which pods hold them, in dcgm-exporter's words.

    gpu_exporter.py serve [PORT]    GET /metrics: every GPU, under a deadline each, until SIGTERM
    gpu_exporter.py read INDEX      one GPU's answer, a line of JSON for every line on standard input; `serve` starts it
    gpu_exporter.py count           the number of GPUs, likewise

NVML is asked by a process for each GPU: a call on a broken GPU may never return, and nothing but another process gets
out of that. What does not answer in time is named by groundwork_gpu_up, and all others are measured as ever.

Names and units are those of https://github.com/NVIDIA/dcgm-exporter (etc/default-counters.csv, DCGM's field ids), so
that rules and dashboards serve both. Two things differ, so that nothing is counted twice: of a GPU in MIG mode the
framebuffer is told by its instances alone, and everything else by the GPU alone. What DCGM measures by itself
(DCGM_FI_PROF_*, NVLink's bandwidth) is not there.

Environment: NODE_NAME, the label Hostname; POD_RESOURCES, the kubelet's socket; DEADLINE_SECONDS, for a GPU's answer.
Needs pynvml (PyPI: nvidia-ml-py), and grpcio for the kubelet's answer. The exit status is 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any

MIB = 1 << 20
PORT = 9400  # dcgm-exporter's
SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock"
POD_SECONDS = 2.0
PATIENCE_SECONDS = 60.0  # then a reader that is still silent is ended, and another one tries

Labels = dict[str, str]
Sample = tuple[str, Labels, float]

METRICS: Mapping[str, tuple[str, str]] = {
    "DCGM_FI_DEV_SM_CLOCK": ("gauge", "SM clock frequency (in MHz)."),
    "DCGM_FI_DEV_MEM_CLOCK": ("gauge", "Memory clock frequency (in MHz)."),
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": ("gauge", "What holds the clocks back, a bit mask of NVML's reasons."),
    "DCGM_FI_DEV_MEMORY_TEMP": ("gauge", "Memory temperature (in C)."),
    "DCGM_FI_DEV_GPU_TEMP": ("gauge", "GPU temperature (in C)."),
    "DCGM_FI_DEV_POWER_USAGE": ("gauge", "Power draw (in W)."),
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": ("gauge", "Power limit (in W)."),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("counter", "Energy consumed since the driver was loaded (in mJ)."),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("counter", "PCIe retries."),
    "DCGM_FI_DEV_GPU_UTIL": ("gauge", "GPU utilization (in %)."),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("gauge", "Memory utilization (in %)."),
    "DCGM_FI_DEV_ENC_UTIL": ("gauge", "Encoder utilization (in %)."),
    "DCGM_FI_DEV_DEC_UTIL": ("gauge", "Decoder utilization (in %)."),
    "DCGM_FI_DEV_XID_ERRORS": ("gauge", "The last Xid seen since the exporter began, 0 if none."),
    "DCGM_FI_DEV_FB_TOTAL": ("gauge", "Framebuffer memory (in MiB)."),
    "DCGM_FI_DEV_FB_FREE": ("gauge", "Framebuffer memory free (in MiB)."),
    "DCGM_FI_DEV_FB_USED": ("gauge", "Framebuffer memory used (in MiB)."),
    "DCGM_FI_DEV_FB_RESERVED": ("gauge", "Framebuffer memory that the driver keeps for itself (in MiB)."),
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": ("counter", "Corrected memory errors since the driver was loaded."),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("counter", "Uncorrected memory errors since the driver was loaded."),
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": ("counter", "Rows remapped for correctable errors."),
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": ("counter", "Rows remapped for uncorrectable errors."),
    "DCGM_FI_DEV_ROW_REMAP_PENDING": ("gauge", "Whether a row waits to be remapped until the GPU is reset."),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": ("gauge", "Whether remapping of rows has failed."),
    "groundwork_gpu_up": ("gauge", "1 where the GPU answered in time, 0 where it did not."),
    "groundwork_gpu_error": ("gauge", "1 for a GPU that did not answer in full, with the reason."),
    "groundwork_gpus": ("gauge", "GPUs that NVML has told of since the exporter began."),
    "groundwork_nvml_up": ("gauge", "1 where NVML says how many GPUs there are."),
    "groundwork_pod_resources_up": ("gauge", "1 where the kubelet says which pods hold the GPUs."),
}


# --- One GPU, in a process of its own -----------------------------------------------------------------------------


class Device:
    """One GPU as NVML tells. After a refusal NVML is begun anew, since handles do not outlive a reset."""

    def __init__(self, pynvml: Any, index: int) -> None:
        self._nvml = pynvml
        self._index = index
        self._handle: Any = None
        self._events: Any = None

    def answer(self) -> dict[str, Any]:
        """Tell {identity, entities, xids, error}; what NVML refuses hides nothing else, and its name is `error`."""
        error, identity, entities, xids = "", {}, [], []
        try:
            self._begin()
            identity = self._identity()
            entities, error = self._entities()
            xids = list(self._xids())
        except self._nvml.NVMLError as refusal:
            error = error or _name(refusal)
        if error:
            self._end()
        return {"identity": identity, "entities": entities, "xids": xids, "error": error}

    def _begin(self) -> None:
        if self._handle is not None:
            return
        self._nvml.nvmlInit()
        self._handle = self._nvml.nvmlDeviceGetHandleByIndex(self._index)
        with contextlib.suppress(self._nvml.NVMLError):  # some GPUs, and some containers, have no events
            self._events = self._nvml.nvmlEventSetCreate()
            self._nvml.nvmlDeviceRegisterEvents(self._handle, self._nvml.nvmlEventTypeXidCriticalError, self._events)

    def _end(self) -> None:
        self._handle = self._events = None
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _identity(self) -> Labels:
        nvml = self._nvml
        return {
            "gpu": str(self._index),
            "UUID": _text(nvml.nvmlDeviceGetUUID(self._handle)),
            "pci_bus_id": _text(nvml.nvmlDeviceGetPciInfo(self._handle).busId),
            "device": f"nvidia{nvml.nvmlDeviceGetMinorNumber(self._handle)}",
            "modelName": _text(nvml.nvmlDeviceGetName(self._handle)),
        }

    def _xids(self) -> Iterator[int]:
        """Tell what has happened since the last time; NVML keeps it until it is asked for."""
        while self._events is not None:
            try:
                yield int(self._nvml.nvmlEventSetWait_v2(self._events, 0).eventData)
            except self._nvml.NVMLError_Timeout:
                return

    def _entities(self) -> tuple[list[dict[str, Any]], str]:
        """Tell the GPU, and its MIG instances: {labels, uuids that pods may hold, values}; and the first refusal."""
        instances = list(self._instances())
        values, error = self._values(_gpu_values(self._nvml), self._handle)
        uuids = []
        if not self._in_mig_mode():
            memory, refusal = self._values(_memory_values(self._nvml), self._handle)
            values, error = values | memory, error or refusal
            uuids = [_text(self._nvml.nvmlDeviceGetUUID(self._handle))]
        return [{"labels": {}, "uuids": uuids, "values": values}, *instances], error

    def _instances(self) -> Iterator[dict[str, Any]]:
        """Tell the GPU instances; those that hold several compute instances, which share its memory, once."""
        nvml = self._nvml
        found: dict[int, list[Any]] = defaultdict(list)
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(self._handle) if self._in_mig_mode() else 0):
            with contextlib.suppress(nvml.NVMLError_NotFound):  # places where no MIG device is
                device = nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, number)
                found[nvml.nvmlDeviceGetGpuInstanceId(device)].append(device)
        for instance, devices in sorted(found.items()):
            profile = _text(nvml.nvmlDeviceGetName(devices[0])).rpartition(" MIG ")[2]
            values, _error = self._values(_memory_values(nvml), devices[0])
            yield {
                "labels": {"GPU_I_PROFILE": _without_compute_slice(profile), "GPU_I_ID": str(instance)},
                "uuids": [_text(nvml.nvmlDeviceGetUUID(device)) for device in devices],
                "values": values,
            }

    def _in_mig_mode(self) -> bool:
        try:
            return bool(self._nvml.nvmlDeviceGetMigMode(self._handle)[0] == self._nvml.NVML_DEVICE_MIG_ENABLE)
        except self._nvml.NVMLError_NotSupported:  # GPUs before Ampere
            return False

    def _values(self, readings: Mapping[str, Callable[[Any], Any]], handle: Any) -> tuple[dict[str, float], str]:
        """Read all that this GPU has, and return the first refusal's name, "" if there is none."""
        values: dict[str, float] = {}
        error = ""
        for name, read in readings.items():
            try:
                values[name] = float(read(handle))
            except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_FunctionNotFound, _NotThereError):
                continue
            except self._nvml.NVMLError as refusal:
                error = error or _name(refusal)
        return values, error


class _NotThereError(Exception):
    """A field of NVML's that this GPU does not have."""


def _gpu_values(nvml: Any) -> dict[str, Callable[[Any], Any]]:
    """Functions of NVML by the name of the metric, each in the metric's unit."""

    def field(handle: Any, number: int) -> Any:
        value = nvml.nvmlDeviceGetFieldValues(handle, [number])[0]
        if value.nvmlReturn != nvml.NVML_SUCCESS:
            raise _NotThereError
        return value.value.uiVal

    def errors(kind: int) -> Callable[[Any], Any]:
        return lambda handle: nvml.nvmlDeviceGetTotalEccErrors(handle, kind, nvml.NVML_VOLATILE_ECC)

    def rows(place: int) -> Callable[[Any], Any]:
        return lambda handle: nvml.nvmlDeviceGetRemappedRows(handle)[place]

    return {
        "DCGM_FI_DEV_SM_CLOCK": lambda handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "DCGM_FI_DEV_MEM_CLOCK": lambda handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": lambda handle: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        "DCGM_FI_DEV_MEMORY_TEMP": lambda handle: field(handle, nvml.NVML_FI_DEV_MEMORY_TEMP),
        "DCGM_FI_DEV_GPU_TEMP": lambda handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "DCGM_FI_DEV_POWER_USAGE": lambda handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "DCGM_FI_DEV_POWER_MGMT_LIMIT": lambda handle: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": lambda handle: nvml.nvmlDeviceGetTotalEnergyConsumption(handle),
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": lambda handle: nvml.nvmlDeviceGetPcieReplayCounter(handle),
        "DCGM_FI_DEV_GPU_UTIL": lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "DCGM_FI_DEV_MEM_COPY_UTIL": lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).memory,
        "DCGM_FI_DEV_ENC_UTIL": lambda handle: nvml.nvmlDeviceGetEncoderUtilization(handle)[0],
        "DCGM_FI_DEV_DEC_UTIL": lambda handle: nvml.nvmlDeviceGetDecoderUtilization(handle)[0],
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": errors(nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": errors(nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": rows(0),
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": rows(1),
        "DCGM_FI_DEV_ROW_REMAP_PENDING": rows(2),
        "DCGM_FI_DEV_ROW_REMAP_FAILURE": rows(3),
    }


def _memory_values(nvml: Any) -> dict[str, Callable[[Any], Any]]:
    """Functions that a MIG device answers too. Version 2 tells the driver's own share apart from what is used."""

    def part(name: str) -> Callable[[Any], Any]:
        return lambda handle: getattr(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2), name) // MIB

    names = {"TOTAL": "total", "FREE": "free", "USED": "used", "RESERVED": "reserved"}
    return {f"DCGM_FI_DEV_FB_{name}": part(attribute) for name, attribute in names.items()}


def _without_compute_slice(profile: str) -> str:
    """Return the GPU instance's profile of a compute instance's: 1c.3g.40gb is a part of a 3g.40gb."""
    first, _, rest = profile.partition(".")
    return rest if first.endswith("c") else profile


def _name(refusal: Exception) -> str:
    """Return NVML's code as pynvml spells it, without the prefix: GpuIsLost."""
    return type(refusal).__name__.removeprefix("NVMLError_")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # older bindings answer bytes


def read(index: str) -> None:
    """Answer for one GPU, whenever there is a line on standard input."""
    import pynvml

    device = Device(pynvml, int(index))
    for _line in sys.stdin:
        print(json.dumps(device.answer()), flush=True)


def count() -> None:
    """Answer how many GPUs there are, whenever there is a line on standard input."""
    import pynvml

    for _line in sys.stdin:
        try:
            pynvml.nvmlInit()
            found = {"count": int(pynvml.nvmlDeviceGetCount()), "error": ""}
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as refusal:
            found = {"count": 0, "error": _name(refusal)}
        print(json.dumps(found), flush=True)


# --- Many GPUs, none of which can make the others wait ------------------------------------------------------------


class Reader:
    """A process of this program that answers a line of JSON for every line it gets.

    One that is late is not asked again: its answer is taken when it comes. After PATIENCE_SECONDS it is killed, and
    replaced as soon as it is dead; a process asleep in the kernel does not die, and no second one is sent after it.
    """

    def __init__(self, *words: str) -> None:
        self._command = [sys.executable, __file__, *words]
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None
        self._received = b""

    def ask(self) -> None:
        """Send a request, unless one is still open."""
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process)
        if self._asked is not None and time.monotonic() - self._asked > PATIENCE_SECONDS and self._process:
            self._process.kill()
        if self._asked is not None:
            return
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        with contextlib.suppress(OSError):  # it has just died: the answer will not come, and the next round begins anew
            _stream(self._process.stdin).write(b"\n")
        self._asked = time.monotonic()

    def answer(self, deadline: float) -> dict[str, Any] | None:
        """Return the answer, or None where there is none until the deadline, on time.monotonic()'s clock."""
        while self._process and b"\n" not in self._received:
            output = _stream(self._process.stdout)
            if not select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            part = output.read(1 << 16)
            if not part:  # it died
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=1)
                    self._bury(self._process)
                return None
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        self._asked = None
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdin, process.stdout):
            _stream(stream).close()
        self._process, self._asked, self._received = None, None, b""


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("the process has no pipe")
    return stream


class Node:
    """All GPUs of this node, and what was last known of each: a GPU that is lost keeps its name."""

    def __init__(self, hostname: str, deadline_seconds: float, pods: Callable[[], Mapping[str, list[Labels]]]) -> None:
        self._hostname = hostname
        self._deadline_seconds = deadline_seconds
        self._pods = pods
        self._counter = Reader("count")
        self._readers: list[Reader] = []
        self._identities: dict[int, Labels] = {}
        self._xids: dict[int, int] = {}
        self._turn = threading.Lock()
        self._last: tuple[float, list[Sample]] = (-1.0, [])

    def samples(self) -> list[Sample]:
        """Ask every GPU and the kubelet at once; returns after the deadline at the latest, and a moment.

        Who has to wait for another's round to end gets the one that began meanwhile, rather than one more.
        """
        came = time.monotonic()
        with self._turn:
            began, samples = self._last
            if began < came:
                began, samples = time.monotonic(), list(self._ask())
                self._last = began, samples
            return samples

    def _ask(self) -> Iterator[Sample]:
        self._counter.ask()
        for reader in self._readers:
            reader.ask()
        deadline = time.monotonic() + self._deadline_seconds
        found = self._counter.answer(deadline) or {"count": 0, "error": "Timeout"}
        while len(self._readers) < found["count"]:
            self._readers.append(Reader("read", str(len(self._readers))))
            self._readers[-1].ask()
        here = {"Hostname": self._hostname}
        yield "groundwork_nvml_up", here, float(not found["error"])
        yield "groundwork_gpus", here, float(len(self._readers))
        holders: Mapping[str, list[Labels]] = {}
        try:
            holders = self._pods()
            yield "groundwork_pod_resources_up", here, 1.0
        except OSError:
            yield "groundwork_pod_resources_up", here, 0.0
        for index, reader in enumerate(self._readers):
            yield from self._gpu(index, reader.answer(deadline), holders)

    def _gpu(self, index: int, answer: dict[str, Any] | None, holders: Mapping[str, list[Labels]]) -> Iterator[Sample]:
        answer = answer or {"identity": {}, "entities": [], "xids": [], "error": "Timeout"}
        self._identities[index] = answer["identity"] or self._identities.get(index, {"gpu": str(index)})
        labels = self._identities[index] | {"Hostname": self._hostname}
        if answer["xids"]:
            self._xids[index] = answer["xids"][-1]
        yield "groundwork_gpu_up", labels, float(not answer["error"])
        if answer["error"]:
            yield "groundwork_gpu_error", labels | {"reason": answer["error"]}, 1.0
        yield "DCGM_FI_DEV_XID_ERRORS", labels, float(self._xids.get(index, 0))
        for entity in answer["entities"]:
            owners = [owner for uuid in entity["uuids"] for owner in holders.get(uuid, ())] or [{}]
            for name, value in entity["values"].items():
                for owner in owners:
                    yield name, labels | entity["labels"] | owner, value


# --- Which pods hold them -----------------------------------------------------------------------------------------


def pods(path: str) -> dict[str, list[Labels]]:
    """Ask the kubelet which containers hold which devices: {namespace, pod, container} by the device's UUID.

    A device that several share by time-slicing has them all, with the replica's number as `vgpu`.
    The kubelet's service is PodResourcesLister of k8s.io/kubelet/pkg/apis/podresources/v1, over gRPC. grpcio speaks
    it; of its messages one is empty and the other has five fields of interest, which are read here by their numbers:
    that is shorter than generated code, and does not tie the image to a version of protobuf's runtime.

    Raises:
        OSError: no answer in time.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # readers are begun by fork and exec, which need none
    try:
        import grpc
    except ImportError as error:
        raise OSError(str(error)) from error
    # without this the authority would be the socket's path, which Go's servers refuse
    options = [("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 16 * MIB)]
    with grpc.insecure_channel(f"unix:{path}", options=options) as channel:
        lister = channel.unary_unary("/v1.PodResourcesLister/List")
        try:
            return holders(lister(b"", timeout=POD_SECONDS))
        except (grpc.RpcError, ValueError) as error:
            raise OSError(str(error)) from error


def holders(response: bytes) -> dict[str, list[Labels]]:
    """Read a ListPodResourcesResponse; see `pods`."""
    found: dict[str, list[Labels]] = defaultdict(list)
    for pod in fields(response, 1):
        name, namespace = _string(pod, 1), _string(pod, 2)
        for container in fields(pod, 3):
            labels = {"namespace": namespace, "pod": name, "container": _string(container, 1)}
            for devices in fields(container, 2):
                for device in map(bytes.decode, fields(devices, 2)):
                    uuid, _, replica = device.partition("::")
                    found[uuid].append(labels | ({"vgpu": replica} if replica else {}))
    return dict(found)


def fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the strings and messages of one field, in order (https://protobuf.dev/programming-guides/encoding).

    Raises:
        ValueError: this is no message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _value, place = _varint(message, place)
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        size, place = _varint(message, place) if kind == 2 else ((8 if kind == 1 else 4), place)
        if place + size > len(message):
            raise ValueError("the message ends within a field")
        if kind == 2 and number == wanted:
            yield message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("the message ends within a number")


def _string(message: bytes, number: int) -> str:
    return next(fields(message, number), b"").decode()


# --- What Prometheus reads ----------------------------------------------------------------------------------------


def exposition(samples: Iterable[Sample]) -> str:
    """Write the text format (https://prometheus.io/docs/instrumenting/exposition_formats)."""
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample[0]].append(sample)
    lines = []
    for name, (kind, text) in METRICS.items():
        if name in by_name:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{_labels(labels)}}} {value:.17g}" for _, labels, value in by_name[name]]
    return "\n".join([*lines, ""])


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Handler(BaseHTTPRequestHandler):
    """GET /metrics, and / for those who ask whether anybody is here."""

    protocol_version = "HTTP/1.1"
    node: Node

    def do_GET(self) -> None:
        """Answer one request."""
        status, body = {"/metrics": (200, ""), "/": (200, "GPU exporter: see /metrics\n")}.get(self.path, (404, "no\n"))
        if self.path == "/metrics":
            body = exposition(self.node.samples())
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # Prometheus did not wait
            self.wfile.write(content)

    def log_message(self, *_words: object) -> None:
        """Scrapes come every few seconds: a log of them says nothing."""


class Server(ThreadingHTTPServer):
    """Serves IPv6 and IPv4 at once where the kernel has IPv6, else IPv4."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """Take IPv4 along."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port: str) -> None:
    """Serve on a port of every address; ends by SIGTERM alone. Its readers end with their standard input."""
    hostname = os.environ.get("NODE_NAME") or socket.gethostname()
    path = os.environ.get("POD_RESOURCES") or SOCKET
    Handler.node = Node(hostname, float(os.environ.get("DEADLINE_SECONDS") or 5), lambda: pods(path))
    Handler.node.samples()  # the readers start: from the first scrape on they answer at once
    with Server(("", int(port)), Handler) as server:
        server.serve_forever()


def end(_signal: int, _frame: object) -> None:
    """End at once and well: PID 1 of a container ignores SIGTERM unless it handles it, until it is killed."""
    os._exit(0)


def main(words: list[str] | None = None) -> int:
    """Run one command; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve").add_argument("port", nargs="?", default=str(PORT))
    verbs.add_parser("read").add_argument("index")
    verbs.add_parser("count")
    chosen = vars(parser.parse_args(words))
    signal.signal(signal.SIGTERM, end)
    {"serve": serve, "read": read, "count": count}[chosen.pop("verb")](**chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
