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
        name: value for name, value in vars(pynvml).items() if name.startswith(("NVML_", "c_nvml", "nvmlMemory_v2"))
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


def field_values(values: Mapping[Any, int]) -> Callable[..., list[SimpleNamespace]]:
    """NVML's answer about fields, by field or by field and link; what is not there is not supported."""

    def call(_handle: object, asked: Sequence[tuple[int, int]]) -> list[SimpleNamespace]:
        return [_field(values.get(one, values.get(one[0]))) for one in asked]

    return call


def _field(value: int | None) -> SimpleNamespace:
    if value is None:
        return SimpleNamespace(nvmlReturn=pynvml.NVML_ERROR_NOT_SUPPORTED, valueType=1, value=None)
    kind = pynvml.NVML_VALUE_TYPE_SIGNED_INT if value < 0 else pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    return SimpleNamespace(nvmlReturn=0, valueType=kind, value=SimpleNamespace(uiVal=value, siVal=value))


def fabric_info(state: int = 3, status: int = 0, clique: int = 0, health: int = 0) -> Callable[..., int]:
    """NVML's answer about NVLink's fabric, written into the structure that is handed over."""

    def call(_handle: object, structure: Any) -> int:
        found = structure._obj
        found.state, found.status, found.cliqueId, found.healthMask = state, status, clique, health
        return 0

    return call


def _link_state(_handle: object, link: int) -> int:
    if link < 18:
        return 1
    raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)


def _clock(clocks: Mapping[int, int]) -> Callable[..., int]:
    return lambda _handle, kind: clocks[kind]


# T.Limit of shutdown, slowdown, memory and GPU, the memory's temperature, what to do, the links' versions and speeds
FIELDS = {193: -8, 194: -2, 195: 0, 196: 0, 82: 25, 230: 0, 166: 4, 164: 26562}
NOT_SUPPORTED = refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)

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
    "DeviceGetGpuMaxPcieLinkGeneration": 5,
    "DeviceGetPcieReplayCounter": 0,
    "DeviceGetBoardId": 0x1B00,
    "DeviceGetBoardPartNumber": "692-2G520-0200-000",
    "DeviceGetModuleId": 3,
    "DeviceGetInforomImageVersion": "G520.0200.00.05",
    "DeviceGetGspFirmwareVersion": b"580.126.09",
    "DeviceGetPerformanceState": 0,
    "DeviceGetVirtualizationMode": 0,
    "DeviceGetBAR1MemoryInfo": SimpleNamespace(bar1Total=131072 << 20, bar1Used=1 << 20, bar1Free=131071 << 20),
    "DeviceGetMemoryInfo": _memory,
    "DeviceGetMigMode": (0, 0),
    "DeviceGetEccMode": (1, 1),
    "DeviceGetRemappedRows": (0, 0, 0, 0),
    "DeviceGetTotalEccErrors": 0,
    "DeviceGetMemoryErrorCounter": 0,
    "DeviceGetRowRemapperHistogram": SimpleNamespace(max=2560, high=0, partial=0, low=0, none=0),
    "DeviceGetRetiredPages": NOT_SUPPORTED,
    "DeviceGetRetiredPagesPendingStatus": NOT_SUPPORTED,
    "DeviceGetTemperature": 31,
    "DeviceGetTemperatureThreshold": NOT_SUPPORTED,
    "DeviceGetMarginTemperature": 56,
    "DeviceGetFieldValues": field_values(FIELDS),
    "DeviceGetNvLinkState": _link_state,
    "DeviceGetNvLinkRemoteDeviceType": 2,
    "DeviceGetNvLinkRemotePciInfo": SimpleNamespace(busId=b"00000000:05:00.0"),
    "DeviceGetGpuFabricInfoV": fabric_info(),
    "DeviceGetTopologyCommonAncestor": 40,
    "DeviceGetPowerUsage": 71250,
    "DeviceGetEnforcedPowerLimit": 700000,
    "DeviceGetPowerManagementDefaultLimit": 700000,
    "DeviceGetPowerManagementLimitConstraints": (200000, 700000),
    "DeviceGetPowerManagementLimit": 700000,
    "DeviceGetClockInfo": _clock({0: 345, 1: 345, 2: 2619, 3: 765}),
    "DeviceGetMaxClockInfo": _clock({0: 1980, 1: 1980, 2: 2619}),
    "DeviceGetCurrentClocksEventReasons": 1,
    "DeviceGetUtilizationRates": SimpleNamespace(gpu=7, memory=3),
    "DeviceGetEncoderUtilization": (0, 167000),
    "DeviceGetDecoderUtilization": (0, 167000),
    "DeviceGetComputeRunningProcesses": (),
    "DeviceGetGraphicsRunningProcesses": (),
    "DeviceGetPersistenceMode": 1,
    "DeviceGetComputeMode": 0,
}
