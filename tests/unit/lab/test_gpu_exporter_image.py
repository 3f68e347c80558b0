"""The program of the image that measures GPUs: dcgm-exporter's words, and no GPU that can hide another."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import paths
from lab.run import wait_for

PROGRAM = paths.PROJECT / "images/gpu-exporter/gpu_exporter.py"

# A pynvml whose GPUs are a file of JSON, by index: {uuid, mig: {instance: [uuid/name]}, xids, fault: a name or hang}
PYNVML = """
import json, os, pathlib, time
from types import SimpleNamespace as Answer
class NVMLError(Exception): pass
def __getattr__(name):
    if name.startswith("NVMLError_"):
        return globals().setdefault(name, type(name, (NVMLError,), {}))
    if name.startswith(("NVML_", "nvmlEventType", "nvmlMemory_v2")):
        return 1
    raise AttributeError(name)
def table():
    return json.loads(pathlib.Path(os.environ["GPUS"]).read_text())
def gpu(index):
    found = table()[str(index)]
    while found.get("fault") == "hang":
        time.sleep(0.02)
        found = table()[str(index)]
    if found.get("fault"):
        raise __getattr__("NVMLError_" + found["fault"])()
    return found
def no(*_):
    raise __getattr__("NVMLError_NotSupported")()
seen = {}
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(table())
def nvmlDeviceGetHandleByIndex(index): return gpu(index) and index
def nvmlDeviceGetUUID(handle): return handle if isinstance(handle, str) else gpu(handle)["uuid"].encode()
def nvmlDeviceGetName(handle): return handle.split("/")[1] if isinstance(handle, str) else "NVIDIA H100 80GB HBM3"
def nvmlDeviceGetPciInfo(handle): return Answer(busId=b"00000000:1B:00.0")
def nvmlDeviceGetMinorNumber(handle): return handle
def nvmlDeviceGetMigMode(handle): return (1, 1) if gpu(handle).get("mig") else (0, 0)
def nvmlDeviceGetMaxMigDeviceCount(handle): return 7
def devices(handle): return [(i, d) for i, found in gpu(handle)["mig"].items() for d in found]
def nvmlDeviceGetMigDeviceHandleByIndex(handle, number):
    if number >= len(devices(handle)):
        raise __getattr__("NVMLError_NotFound")()
    return devices(handle)[number][1]
def nvmlDeviceGetGpuInstanceId(device): return next(int(i) for g in table() for i, d in devices(g) if d == device)
def nvmlEventSetCreate(): return []
def nvmlDeviceRegisterEvents(handle, kind, events): events.append(handle)
def nvmlEventSetWait_v2(events, milliseconds):
    number = seen[events[0]] = seen.get(events[0], 0) + 1
    if number > len(gpu(events[0]).get("xids", [])):
        seen[events[0]] -= 1
        raise __getattr__("NVMLError_Timeout")()
    return Answer(eventData=gpu(events[0])["xids"][number - 1])
def nvmlDeviceGetMemoryInfo(handle, version):
    return Answer(total=80 << 30, free=70 << 30, used=9 << 30, reserved=1 << 30)
def nvmlDeviceGetTemperature(handle, sensor): return gpu(handle) and 41
def nvmlDeviceGetPowerUsage(handle): return gpu(handle) and 123456
def nvmlDeviceGetUtilizationRates(handle): return no() if gpu(handle).get("mig") else Answer(gpu=97, memory=40)
def nvmlDeviceGetRemappedRows(handle): return (1, 2, 0, 1)
nvmlDeviceGetClockInfo = nvmlDeviceGetCurrentClocksEventReasons = nvmlDeviceGetEnforcedPowerLimit = no
nvmlDeviceGetTotalEnergyConsumption = nvmlDeviceGetPcieReplayCounter = nvmlDeviceGetEncoderUtilization = no
nvmlDeviceGetDecoderUtilization = nvmlDeviceGetTotalEccErrors = no
def nvmlDeviceGetFieldValues(handle, fields): return [Answer(nvmlReturn=3)]
"""


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gpu_exporter", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


exporter = load()
Samples = dict[tuple[str, str], list[tuple[dict[str, str], float]]]


class Gpus:
    """The GPUs of the pynvml above, as processes of the program see them."""

    def __init__(self, folder: Path) -> None:
        (folder / "pynvml.py").write_text(PYNVML)
        self.file = folder / "gpus.json"
        self.environment = {"PYTHONPATH": str(folder), "GPUS": str(self.file)}

    def put(self, *gpus: dict[str, Any]) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({str(index): {"uuid": f"GPU-{index}", **gpu} for index, gpu in enumerate(gpus)}))
        new.replace(self.file)


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpus:
    found = Gpus(tmp_path)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def node(gpus: Gpus) -> Iterator[Callable[..., Any]]:
    """Make a node; its readers are ended with the test."""
    made: list[Any] = []

    def make(seconds: float = 20.0, pods: Callable[[], Any] = dict) -> Any:
        assert gpus.file.exists()
        made.append(exporter.Node("n2", seconds, pods))
        return made[-1]

    yield make
    for reader in [reader for each in made for reader in (each._counter, *each._readers)]:
        if reader._process is not None:
            reader._process.kill()
            reader._process.wait()
            reader._bury(reader._process)


def values(samples: list[Any], name: str, label: str = "gpu") -> dict[str, float]:
    return {labels.get(label, ""): value for found, labels, value in samples if found == name}


def test_a_gpu_is_told_in_the_words_of_dcgm_exporter(gpus: Gpus, node: Callable[..., Any]) -> None:
    """Names, labels and units: etc/default-counters.csv and internal/pkg/rendermetrics of dcgm-exporter."""
    gpus.put({})
    lines = exporter.exposition(node().samples()).splitlines()
    labels = 'gpu="0",UUID="GPU-0",pci_bus_id="00000000:1B:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3"'
    assert f'DCGM_FI_DEV_GPU_UTIL{{{labels},Hostname="n2"}} 97' in lines
    assert f'DCGM_FI_DEV_FB_USED{{{labels},Hostname="n2"}} 9216' in lines
    assert f'DCGM_FI_DEV_POWER_USAGE{{{labels},Hostname="n2"}} 123.456' in lines
    assert f'DCGM_FI_DEV_XID_ERRORS{{{labels},Hostname="n2"}} 0' in lines
    assert "# TYPE DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS counter" in lines
    assert not [line for line in lines if "DCGM_FI_DEV_SM_CLOCK" in line], "what NVML does not know is left out"


def test_memory_of_a_gpu_in_mig_mode_is_told_by_its_instances_alone(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put(
        {"mig": {"1": ["MIG-a/H100 MIG 1c.3g.40gb", "MIG-b/H100 MIG 1c.3g.40gb"], "9": ["MIG-c/H100 MIG 1g.10gb"]}}
    )
    owner = {"namespace": "team", "pod": "train", "container": "main"}
    samples = node(pods=lambda: {"MIG-b/H100 MIG 1c.3g.40gb": [owner]}).samples()
    used = [labels for name, labels, _ in samples if name == "DCGM_FI_DEV_FB_USED"]
    assert [(each["GPU_I_ID"], each["GPU_I_PROFILE"], each.get("pod")) for each in used] == [
        ("1", "3g.40gb", "train"),
        ("9", "1g.10gb", None),
    ]
    assert {each["UUID"] for each in used} == {"GPU-0"}, "the label UUID is the whole GPU's"
    assert values(samples, "DCGM_FI_DEV_POWER_USAGE", "GPU_I_ID") == {"": 123.456}
    assert not values(samples, "DCGM_FI_DEV_GPU_UTIL"), "NVML has no utilization in MIG mode"


def test_pods_that_share_a_gpu_are_all_told(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({})
    owners = [{"namespace": "a", "pod": "p", "container": "c", "vgpu": number} for number in ("0", "3")]
    samples = node(pods=lambda: {"GPU-0": owners}).samples()
    assert values(samples, "DCGM_FI_DEV_GPU_UTIL", "vgpu") == {"0": 97, "3": 97}


def test_a_gpu_that_hangs_hides_no_other_and_is_named(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({}, {}, {})
    here = node()
    assert values(here.samples(), "groundwork_gpu_up") == {"0": 1, "1": 1, "2": 1}
    gpus.put({}, {"fault": "hang"}, {})
    here._deadline_seconds = 1.0
    began = time.monotonic()
    samples = here.samples()
    assert time.monotonic() - began < 5
    assert values(samples, "groundwork_gpu_up", "UUID") == {"GPU-0": 1, "GPU-1": 0, "GPU-2": 1}
    assert values(samples, "groundwork_gpu_error", "reason") == {"Timeout": 1}
    assert set(values(samples, "DCGM_FI_DEV_GPU_TEMP")) == {"0", "2"}
    gpus.put({}, {}, {})
    here._deadline_seconds = 20.0
    assert values(here.samples(), "groundwork_gpu_up") == {"0": 1, "1": 1, "2": 1}, (
        "an answer that is late still counts"
    )


def test_one_that_hangs_from_the_beginning_hides_no_other(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({"fault": "hang"}, {})
    here = node(seconds=20.0)
    here._counter.ask()
    assert here._counter.answer(time.monotonic() + 20) == {"count": 2, "error": ""}
    here._deadline_seconds = 3.0

    def seen() -> str:
        found = values(here.samples(), "groundwork_gpu_up")
        return "" if found == {"0": 0, "1": 1} else f"up is {found}"

    wait_for(seen, 30, "look at Node")


def test_those_who_wait_share_one_round(gpus: Gpus, node: Callable[..., Any]) -> None:
    """Several who ask at once wait for two rounds at the most, not for one each."""
    gpus.put({})
    here = node()
    here.samples()
    rounds = []
    ask = here._ask

    def slowly() -> Iterator[Any]:
        rounds.append(time.monotonic())
        time.sleep(0.5)
        yield from ask()

    here._ask = slowly
    with ThreadPoolExecutor(max_workers=6) as pool:
        answers = [task.result() for task in [pool.submit(here.samples) for _ in range(6)]]
    assert len(rounds) <= 2
    assert all(values(samples, "groundwork_gpu_up") == {"0": 1} for samples in answers)


def test_a_lost_gpu_keeps_its_name_and_comes_back(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({}, {})
    here = node()
    here.samples()
    gpus.put({}, {"fault": "GpuIsLost"})
    samples = here.samples()
    assert values(samples, "groundwork_gpu_up", "UUID") == {"GPU-0": 1, "GPU-1": 0}
    assert values(samples, "groundwork_gpu_error", "reason") == {"GpuIsLost": 1}
    gpus.put({}, {})
    assert values(here.samples(), "groundwork_gpu_up", "UUID") == {"GPU-0": 1, "GPU-1": 1}


def test_the_last_xid_stays(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({}, {})
    here = node()
    here.samples()
    gpus.put({}, {"xids": [13, 79]})
    for _ in range(2):
        assert values(here.samples(), "DCGM_FI_DEV_XID_ERRORS") == {"0": 0, "1": 79}


def test_a_reader_that_was_killed_is_replaced(gpus: Gpus, node: Callable[..., Any]) -> None:
    gpus.put({})
    here = node()
    here.samples()
    here._readers[0]._process.kill()
    here._readers[0]._process.wait()
    assert values(here.samples(), "groundwork_gpu_up") == {"0": 1}


def test_a_silent_reader_is_killed_in_the_end(
    gpus: Gpus, node: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.put({"fault": "hang"})
    here = node(seconds=0.5)
    wait_for(lambda: "" if values(here.samples(), "groundwork_gpu_up") else "no GPU yet", 30, "look at count()")
    first = here._readers[0]._process
    monkeypatch.setattr(exporter, "PATIENCE_SECONDS", 0.0)
    wait_for(lambda: "" if here.samples() and first.poll() == -signal.SIGKILL else "alive", 30, "look at Reader")
    monkeypatch.setattr(exporter, "PATIENCE_SECONDS", 60.0)
    gpus.put({})
    wait_for(lambda: "" if values(here.samples(), "groundwork_gpu_up") == {"0": 1} else "not up", 30, "look at Reader")


def test_without_the_kubelet_gpus_are_told_all_the_same(gpus: Gpus, node: Callable[..., Any], tmp_path: Path) -> None:
    gpus.put({})
    samples = node(pods=lambda: exporter.pods(str(tmp_path / "nobody.sock"))).samples()
    assert values(samples, "groundwork_pod_resources_up", "Hostname") == {"n2": 0}
    assert values(samples, "groundwork_gpu_up") == {"0": 1}


def message(*parts: tuple[int, bytes | str | int]) -> bytes:
    """A protobuf message of numbers, strings and messages."""

    def number(value: int) -> bytes:
        return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + number(value >> 7)

    encoded = b""
    for place, value in parts:
        if isinstance(value, int):
            encoded += number(place << 3) + number(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            encoded += number(place << 3 | 2) + number(len(content)) + content
    return encoded


def answer_of_a_kubelet() -> bytes:
    """As pkg/apis/podresources/v1/api.proto of k8s.io/kubelet v0.36.1 has it, with fields that are of no interest."""
    topology = message((1, message((1, 300))))
    devices = message((1, "nvidia.com/gpu"), (2, "GPU-0::3"), (2, "GPU-1"), (3, topology))
    container = message((1, "main"), (2, devices), (3, 2), (4, message((1, "memory"), (2, 1 << 40))))
    idle = message((1, "idle"), (2, "team"), (3, message((1, "main"))))
    return message((1, message((1, "train"), (2, "team"), (3, container), (7, 1))), (1, idle))


HOLDERS = {
    "GPU-0": [{"namespace": "team", "pod": "train", "container": "main", "vgpu": "3"}],
    "GPU-1": [{"namespace": "team", "pod": "train", "container": "main"}],
}


def test_the_kubelets_answer_is_read() -> None:
    assert exporter.holders(answer_of_a_kubelet()) == HOLDERS
    assert exporter.holders(b"") == {}


@given(st.binary(max_size=64))
def test_what_is_no_message_is_refused_or_empty(garbage: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(owners for owners in exporter.holders(garbage).values())


@given(st.integers(0, len(answer_of_a_kubelet()) - 1))
def test_a_message_that_ends_early_gives_no_wrong_names(size: int) -> None:
    try:
        found = exporter.holders(answer_of_a_kubelet()[:size])
    except ValueError:
        return
    assert all(found[uuid] == HOLDERS[uuid] for uuid in found)


def test_a_real_grpc_server_is_asked(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is in the exporter's image, and not needed elsewhere")
    asked = []

    def lists(request: bytes, _context: object) -> bytes:
        asked.append(request)
        return answer_of_a_kubelet()

    path = tmp_path / "kubelet.sock"
    with ThreadPoolExecutor(max_workers=1) as pool:
        server = grpc.server(pool)
        handlers = {"List": grpc.unary_unary_rpc_method_handler(lists)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1.PodResourcesLister", handlers),))
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            assert exporter.pods(str(path)) == HOLDERS
        finally:
            server.stop(None)
    assert asked == [b""]


def test_it_serves_and_ends_by_sigterm_with_its_readers(gpus: Gpus, tmp_path: Path) -> None:
    gpus.put({}, {})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, **gpus.environment, "NODE_NAME": "n2", "POD_RESOURCES": str(tmp_path / "none")}
    with subprocess.Popen([sys.executable, PROGRAM, "serve", str(port)], env=environment) as server:
        text = fetched(f"http://127.0.0.1:{port}/metrics")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
    assert text.count("groundwork_gpu_up{") == 2
    assert len(children) == 3
    wait_for(lambda: " ".join(pid for pid in children if Path(f"/proc/{pid}/root").exists()), 10, "see read()")
    if shutil.which("promtool"):
        words = ["promtool", "check", "metrics"]
        check = subprocess.run(words, input=text, text=True, capture_output=True, check=False)
        assert check.returncode in (0, 3), check.stderr  # 3: names that are dcgm-exporter's, not Prometheus's way
        ours = [line for line in check.stderr.splitlines() if line.startswith("groundwork_")]
        assert [line for line in ours if "camelCase" not in line] == []


def fetched(url: str, seconds: float = 30) -> str:
    answer: list[str] = []

    def silent() -> str:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=seconds) as response:
                answer.append(response.read().decode())
        except OSError as error:
            return f"{url} does not answer: {error}"
        return ""

    wait_for(silent, seconds, "look at what the server says")
    return answer[0]
