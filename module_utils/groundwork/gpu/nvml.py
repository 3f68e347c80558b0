"""NVML, NVIDIA's management library. The only file that imports pynvml.

Functions and codes: https://docs.nvidia.com/deploy/nvml-api/ ; Python names: nvidia-ml-py, module pynvml.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError

try:
    import pynvml
except ImportError:  # before role host_base has made the virtual environment
    pynvml = None

UNSUPPORTED = frozenset({"NotSupported", "FunctionNotFound"})
"""This GPU, or this driver, has no such thing: no answer, and nobody's fault."""

OF_THE_QUESTION = UNSUPPORTED | {"InvalidArgument", "NotFound", "NoPermission", "ArgumentVersionMismatch", "NoData"}
OF_THE_QUESTION |= {"Deprecated", "InsufficientSize", "NotReady"}
"""Refusals that say nothing of the GPU's health."""

VALUE_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Where a field's value is, by nvmlValueType_t."""

NO_BINDINGS = (
    "This Python has no pynvml",
    "Install nvidia-ml-py beside the interpreter that runs this module; role host_base does it in site_venv.",
)

REMEDIES = {
    "DriverNotLoaded": "Load the kernel module with `modprobe nvidia`. Where that is refused, dmesg says why: Secure "
    "Boot rejects unsigned modules, and nouveau must be unloaded first.",
    "LibraryNotFound": "Install the driver: role gpu_driver brings libnvidia-ml.so.1.",
    "LibRmVersionMismatch": "The library was upgraded under a loaded kernel module: drain the node and reboot it, and "
    "hold the driver's packages.",
    "GpuIsLost": "The GPU fell off the bus (Xid 79 in dmesg): drain the node and reboot it; if it comes again, have "
    "the board, its power and its riser checked.",
    "ResetRequired": "Stop what uses the GPU and run `nvidia-smi --gpu-reset -i INDEX`, or reboot.",
    "NoPermission": "Run as root.",
    "InUse": "End what uses it: drain the node, and stop what watches GPUs (the device plugin, DCGM, nv-hostengine); "
    "`fuser -v /dev/nvidia*` lists who holds them. Then run again.",
    "InsufficientResources": "Something else took the place: see `nvidia-smi mig -lgi`, and run again.",
    "InsufficientPower": "Connect the GPU's external power.",
    "Unknown": "See dmesg for NVRM and Xid lines. In a container this is the sign of a device cgroup that lost the "
    "GPU's devices: recreate the container.",
}
OTHERWISE = "See dmesg for NVRM and Xid lines, and NVML's description of the code."


class NvmlError(GroundworkError):
    """NVML refused; `code` is its name without prefix, as pynvml spells it: GpuIsLost."""

    def __init__(self, message: str, remedy: str, code: str) -> None:
        super().__init__(message, remedy)
        self.args = (message, remedy, code)
        self.code = code


class Nvml:
    """An initialised NVML. `library` is pynvml, or what stands in for it in a test."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def ask(self, function: str, *arguments: object, **options: object) -> Any:
        """The answer of nvml<function>, or None where this GPU or this driver knows no such thing.

        Raises NvmlError for every other refusal.
        """
        call = getattr(self._library, f"nvml{function}", None)
        if call is None:
            return None
        try:
            answer = call(*arguments, **options)
        except self._library.NVMLError as error:
            if _code(error) in UNSUPPORTED:
                return None
            raise _refusal(function, error) from None
        return answer.decode() if isinstance(answer, bytes) else answer  # older bindings answer bytes

    def hint(self, function: str, *arguments: object, **options: object) -> Any:
        """As `ask`, for what is good to know: None also where NVML refuses the question and not for the GPU's state."""
        try:
            return self.ask(function, *arguments, **options)
        except NvmlError as error:
            if error.code in OF_THE_QUESTION:
                return None
            raise

    def filled(self, function: str, structures: Sequence[str], *arguments: object) -> Any:
        """A structure that nvml<function> filled, the first of these that bindings and driver know; None without one.

        structures  their names in the bindings, the newest version first: c_nvmlGpuFabricInfo_v3_t
        """
        for make in (getattr(self._library, name, None) for name in structures):
            found = make() if make else None
            if found is not None and self.hint(function, *arguments, ctypes.byref(found)) is not None:
                return found
        return None

    def fields(self, handle: object, fields: Sequence[tuple[int, int]]) -> list[int | float | None]:
        """The values of fields (NVML_FI_DEV_*, and of which link), all by one call; None for an unknown one."""
        found = self.hint("DeviceGetFieldValues", handle, list(fields))
        if found is None:
            return [None] * len(fields)
        return [getattr(one.value, VALUE_FIELDS[one.valueType]) if one.nvmlReturn == 0 else None for one in found]

    def named_fields(self, handle: object, names: Sequence[str], scopes: Sequence[int] = ()) -> list[Any]:
        """The values of fields by their names without NVML_FI_DEV_; a scope each, or none. What is unknown is None."""
        known = [self.constant(f"FI_DEV_{name}") for name in names]
        asked = [(field, scope) for field, scope in zip(known, scopes or [0] * len(known), strict=True) if field]
        found = iter(self.fields(handle, asked) if asked else ())
        return [next(found) if field else None for field in known]

    def word(self, code: int) -> str:
        """The name of a return code, spelt as NvmlError's: Success, InsufficientResources."""
        return _code(self._library.NVMLError(code)) if code else "Success"

    def change(self, function: str, *arguments: object) -> Any:
        """The answer of nvml<function>, which changes a GPU: what is not supported is a refusal as well.

        Raises NvmlError for every refusal.
        """
        try:
            return getattr(self._library, f"nvml{function}")(*arguments)
        except self._library.NVMLError as error:
            raise _refusal(function, error) from None

    def array(self, function: str, structure: str, capacity: int, *arguments: object) -> list[Any]:
        """What nvml<function> puts into an array of `capacity` structures; nothing where it is not supported.

        structure  its name in the bindings, c_nvmlGpuInstance_t

        Raises NvmlError for every other refusal.
        """
        found = (getattr(self._library, structure) * capacity)()
        count = ctypes.c_uint(capacity)
        answer = self.ask(function, *arguments, found, ctypes.byref(count))
        return [] if answer is None else list(found[: count.value])

    def structure(self, name: str, **fields: object) -> Any:
        """A structure of the bindings, such as c_nvmlGpuInstancePlacement_t, to hand to a function."""
        return ctypes.pointer(getattr(self._library, name)(**fields))

    def constant(self, name: str) -> Any:
        """NVML_<name> or nvml<name> of the bindings; None where they are too old to know it."""
        return getattr(self._library, f"NVML_{name}", getattr(self._library, f"nvml{name}", None))


@contextlib.contextmanager
def session(library: Any = None) -> Iterator[Nvml]:
    """NVML from its initialisation to its shutdown.

    Raises NvmlError when the driver does not answer, GroundworkError when pynvml is missing.
    """
    library = library or pynvml
    if library is None:
        raise GroundworkError(*NO_BINDINGS)
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        raise _refusal("Init", error) from None
    try:
        yield Nvml(library)
    finally:
        with contextlib.suppress(library.NVMLError):
            library.nvmlShutdown()


def _code(error: Exception) -> str:
    """GpuIsLost, out of the class NVMLError_GpuIsLost."""
    return type(error).__name__.removeprefix("NVMLError_")


def _refusal(function: str, error: Exception) -> NvmlError:
    code = _code(error)
    return NvmlError(f"NVML {function}: {error}", REMEDIES.get(code, OTHERWISE), code)
