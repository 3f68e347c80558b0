"""What stands in for the host in tests of module_utils."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pynvml
from ansible.module_utils.groundwork.command import MISSING, Output
from ansible.module_utils.groundwork.waiting import Waiter

Answer = Output | Exception | Callable[[], Output]


class Commands:
    """Answers commands out of a table: the longest beginning that fits. What is not in the table is not installed."""

    def __init__(self, table: Mapping[str, Answer | Sequence[Answer]]) -> None:
        self.table = {key: list(value) if isinstance(value, list) else value for key, value in table.items()}
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Output:
        assert timeout_seconds > 0
        line = " ".join(argv)
        self.asked.append(line)
        key = max((key for key in self.table if line.startswith(key)), key=len, default=None)
        answer: Any = Output(MISSING, "", "command not found") if key is None else self.table[key]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        found: Output = answer() if callable(answer) else answer
        return found


class Clock:
    """A clock that goes on by what is waited, so that no test waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def waiter(seconds: float = 10.0) -> Waiter:
    clock = Clock()
    return Waiter(seconds, every=1.0, clock=clock, pause=clock.pause)


def refuse(code: int) -> Callable[..., Any]:
    """A function of NVML that answers with an error."""

    def call(*_arguments: object, **_options: object) -> Any:
        raise pynvml.NVMLError(code)

    return call


def library(**functions: Any) -> SimpleNamespace:
    """A pynvml with its own constants and errors, but only the functions given; plain values are answers."""
    constants = {
        name: value
        for name, value in vars(pynvml).items()
        if name.startswith(("NVML_", "c_nvml")) or name == "nvmlMemory_v2"
    }
    made = {f"nvml{name}": value if callable(value) else _constant(value) for name, value in functions.items()}
    always = {"nvmlInit": _constant(None), "nvmlShutdown": _constant(None), "NVMLError": pynvml.NVMLError}
    return SimpleNamespace(**{**constants, **always, **made})


def gpu_library(**functions: Any) -> SimpleNamespace:
    """A pynvml with one healthy H100, as an R580 driver answers for it; functions given replace its own."""
    return library(**{**H100, **functions})


def _constant(value: Any) -> Callable[..., Any]:
    def call(*_arguments: object, **_options: object) -> Any:
        return value

    return call


def _memory(_handle: object, version: int | None = None) -> SimpleNamespace:
    if version is None:
        return SimpleNamespace(total=81559 << 20, used=580 << 20, free=80979 << 20)
    return SimpleNamespace(total=81559 << 20, used=0, free=80979 << 20, reserved=580 << 20)


def _nvlink(_handle: object, number: int) -> int:
    if number >= 18:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    return 1


def fabric(**fields: int) -> Callable[..., int]:
    """nvmlDeviceGetGpuFabricInfoV as it answers with these fields."""

    def call(_handle: object, info: Any) -> int:
        for name, value in fields.items():
            setattr(info.contents, name, value)
        return 0

    return call


H100: dict[str, Any] = {
    "SystemGetDriverVersion": "580.126.09",
    "SystemGetNVMLVersion": "13.580.126.09",
    "SystemGetCudaDriverVersion_v2": 13000,
    "DeviceGetCount": 1,
    "DeviceGetHandleByIndex": lambda index: f"handle {index}",
    "DeviceGetUUID": "GPU-b31ec6c1-5963-5d81-87c0-d9172092cc75",
    "DeviceGetName": "NVIDIA H100 80GB HBM3",
    "DeviceGetSerial": "1653520000000",
    "DeviceGetMinorNumber": 0,
    "DeviceGetArchitecture": 9,
    "DeviceGetCudaComputeCapability": (9, 0),
    "DeviceGetVbiosVersion": "96.00.99.00.01",
    "DeviceGetPciInfo_v3": SimpleNamespace(busId="00000000:1B:00.0", pciDeviceId=0x233010DE, pciSubSystemId=0x16C110DE),
    "DeviceGetCurrPcieLinkGeneration": 5,
    "DeviceGetMaxPcieLinkGeneration": 5,
    "DeviceGetCurrPcieLinkWidth": 16,
    "DeviceGetMaxPcieLinkWidth": 16,
    "DeviceGetMemoryInfo": _memory,
    "DeviceGetMigMode": (0, 0),
    "DeviceGetEccMode": (1, 1),
    "DeviceGetRemappedRows": (0, 0, 0, 0),
    "DeviceGetTotalEccErrors": 0,
    "DeviceGetRetiredPages": refuse(pynvml.NVML_ERROR_NOT_SUPPORTED),
    "DeviceGetRetiredPagesPendingStatus": refuse(pynvml.NVML_ERROR_NOT_SUPPORTED),
    "DeviceGetNvLinkState": _nvlink,
    "DeviceGetGpuFabricInfoV": fabric(state=3, status=0),
    "DeviceGetPerformanceState": 0,
    "DeviceGetTemperature": 31,
    "DeviceGetTemperatureThreshold": lambda _handle, threshold: {0: 94, 1: 89}[threshold],
    "DeviceGetPowerUsage": 71250,
    "DeviceGetEnforcedPowerLimit": 700000,
    "DeviceGetPowerManagementDefaultLimit": 700000,
    "DeviceGetPowerManagementLimitConstraints": (200000, 700000),
    "DeviceGetClockInfo": lambda _handle, clock: {1: 345, 2: 2619}[clock],
    "DeviceGetMaxClockInfo": lambda _handle, clock: {1: 1980, 2: 2619}[clock],
    "DeviceGetCurrentClocksEventReasons": 1,
    "DeviceGetUtilizationRates": SimpleNamespace(gpu=7, memory=3),
    "DeviceGetComputeRunningProcesses": (),
    "DeviceGetGraphicsRunningProcesses": (),
    "DeviceGetPersistenceMode": 1,
    "DeviceGetComputeMode": 0,
}
