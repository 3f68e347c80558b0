"""What a GPU's sensors say: temperatures, power, clocks and why they are held back, utilization.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

from ansible.module_utils.groundwork.gpu.model import Clocks, Power, Temperature, Utilization
from ansible.module_utils.groundwork.gpu.nvml import Nvml

REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""nvmlClocksEventReason*, by the names that nvidia-smi -q gives them."""

LIMITS = ("SLOWDOWN", "SHUTDOWN", "GPU_MAX", "MEM_MAX")


def reasons(mask: int | None) -> tuple[str, ...] | None:
    """What holds the clocks back, in words.

    >>> reasons(0x44)
    ('sw_power_cap', 'hw_thermal_slowdown')
    >>> reasons(0x400)
    ('0x400',)
    """
    if mask is None:
        return None
    bits = [1 << bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    return tuple(REASONS.get(bit, f"{bit:#x}") for bit in bits)


def temperature(nvml: Nvml, handle: object) -> Temperature:
    """Limits are told as temperatures, or from Ada on as distances: fields of NVML in one call."""
    slowdown, shutdown, gpu_max, memory_max = (_limit(nvml, handle, name) for name in LIMITS)
    names = ["MEMORY_TEMP", *(f"TEMPERATURE_{name}_TLIMIT" for name in LIMITS)]
    memory, *margins = nvml.named_fields(handle, names)
    return Temperature(
        gpu_celsius=nvml.ask("DeviceGetTemperature", handle, nvml.constant("TEMPERATURE_GPU")),
        slowdown_celsius=slowdown,
        shutdown_celsius=shutdown,
        gpu_max_celsius=gpu_max,
        memory_celsius=memory or None,  # 0 where there is no sensor
        memory_max_celsius=memory_max,
        margin_celsius=nvml.hint("DeviceGetMarginTemperature", handle),
        slowdown_margin_celsius=margins[0],
        shutdown_margin_celsius=margins[1],
        gpu_max_margin_celsius=margins[2],
        memory_max_margin_celsius=margins[3],
    )


def _limit(nvml: Nvml, handle: object, name: str) -> int | None:
    found: int | None = nvml.hint(
        "DeviceGetTemperatureThreshold", handle, nvml.constant(f"TEMPERATURE_THRESHOLD_{name}")
    )
    return found


def power(nvml: Nvml, handle: object) -> Power:
    """What a GPU draws, and what it may."""
    low, high = nvml.ask("DeviceGetPowerManagementLimitConstraints", handle) or (None, None)
    return Power(
        usage_watts=_watts(nvml.ask("DeviceGetPowerUsage", handle)),
        limit_watts=_watts(nvml.ask("DeviceGetEnforcedPowerLimit", handle)),
        limit_default_watts=_watts(nvml.ask("DeviceGetPowerManagementDefaultLimit", handle)),
        limit_min_watts=_watts(low),
        limit_max_watts=_watts(high),
        limit_requested_watts=_watts(nvml.hint("DeviceGetPowerManagementLimit", handle)),
    )


def clocks(nvml: Nvml, handle: object) -> Clocks:
    """Clocks as they are and as they could be."""
    graphics, sm, memory, video = (nvml.constant(f"CLOCK_{name}") for name in ("GRAPHICS", "SM", "MEM", "VIDEO"))
    mask = nvml.ask("DeviceGetCurrentClocksEventReasons", handle)
    return Clocks(
        sm_mhz=nvml.ask("DeviceGetClockInfo", handle, sm),
        sm_max_mhz=nvml.ask("DeviceGetMaxClockInfo", handle, sm),
        memory_mhz=nvml.ask("DeviceGetClockInfo", handle, memory),
        memory_max_mhz=nvml.ask("DeviceGetMaxClockInfo", handle, memory),
        event_reasons=mask,
        reasons=reasons(mask),
        graphics_mhz=nvml.hint("DeviceGetClockInfo", handle, graphics),
        graphics_max_mhz=nvml.hint("DeviceGetMaxClockInfo", handle, graphics),
        video_mhz=nvml.hint("DeviceGetClockInfo", handle, video),
    )


def utilization(nvml: Nvml, handle: object) -> Utilization:
    """How busy a GPU was."""
    rates = nvml.ask("DeviceGetUtilizationRates", handle)
    if rates is None:
        return Utilization()
    encoder, decoder = (nvml.hint(f"DeviceGet{name}Utilization", handle) for name in ("Encoder", "Decoder"))
    return Utilization(rates.gpu, rates.memory, encoder and encoder[0], decoder and decoder[0])


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
