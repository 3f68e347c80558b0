"""What `nvidia-smi -q -x` writes for what nvidia_gpu_info returns, field by field.

Element names: https://docs.nvidia.com/deploy/nvidia-smi/ and the DTD that each output names. A driver that does not
know an element leaves it out, and what a GPU does not have is N/A.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

Facts = dict[str, Any]
ABSENT = {"N/A", "[N/A]", "Requested functionality has been deprecated"}


@dataclass(frozen=True)
class Field:
    """An element, what it must be, and how far a measured number may have moved between the two readings."""

    path: str
    value: Callable[[Facts], Any]
    show: str = "{}"
    slack: float = 0


def at(*keys: str) -> Callable[[Facts], Any]:
    def look(facts: Facts) -> Any:
        found: Any = facts
        for key in keys:
            found = found and found[key]
        return found

    return look


def word(value: Callable[[Facts], Any], **words: str) -> Callable[[Facts], Any]:
    return lambda facts: words.get(str(value(facts)).lower(), value(facts))


def on(value: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    return word(value, true="Enabled", false="Disabled", enabled="Enabled", disabled="Disabled")


def yes(value: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    return word(value, true="Yes", false="No")


def upper(*keys: str) -> Callable[[Facts], Any]:
    return lambda facts: f"{at(*keys)(facts)}".upper() + "10DE"


FIELDS = [
    Field("product_name", at("name")),
    Field("product_architecture", word(at("architecture"), ada="Ada Lovelace", **{n: n.title() for n in (
        "turing", "ampere", "hopper", "blackwell", "volta", "pascal")})),
    Field("uuid", at("uuid")),
    Field("serial", at("serial")),
    Field("minor_number", at("minor_number")),
    Field("vbios_version", at("vbios_version")),
    Field("gsp_firmware_version", at("gsp_firmware_version")),
    Field("persistence_mode", on(at("persistence_mode"))),
    Field("board_id", at("board", "board_id")),
    Field("board_part_number", at("board", "part_number")),
    Field("gpu_module_id", at("board", "module_id")),
    Field("inforom_version/img_version", at("board", "inforom_version")),
    Field("gpu_virtualization_mode/virtualization_mode",
          word(at("virtualization_mode"), none="None", passthrough="Pass-Through")),
    Field("mig_mode/current_mig", on(at("mig", "mode_current"))),
    Field("mig_mode/pending_mig", on(at("mig", "mode_pending"))),
    Field("pci/pci_device_id", upper("pci", "device_id")),
    Field("pci/pci_sub_system_id", upper("pci", "subsystem_id")),
    Field("pci/pci_bus_id", lambda facts: f"0000{facts['pci']['bus_id']}".upper()),
    Field("pci/pci_gpu_link_info/pcie_gen/max_link_gen", at("pci", "link_generation_max")),
    Field("pci/pci_gpu_link_info/pcie_gen/max_device_link_gen", at("pci", "link_generation_gpu_max")),
    Field("pci/pci_gpu_link_info/pcie_gen/current_link_gen", at("pci", "link_generation"), slack=4),  # falls at idle
    Field("pci/pci_gpu_link_info/link_widths/max_link_width", at("pci", "link_width_max"), "{}x"),
    Field("pci/pci_gpu_link_info/link_widths/current_link_width", at("pci", "link_width"), "{}x"),
    Field("pci/replay_counter", at("pci", "replay_count"), slack=10),
    Field("fb_memory_usage/total", at("memory", "total_mib"), "{} MiB"),
    Field("fb_memory_usage/reserved", at("memory", "reserved_mib"), "{} MiB", slack=2),
    Field("fb_memory_usage/used", at("memory", "used_mib"), "{} MiB", slack=1024),
    Field("bar1_memory_usage/total", at("bar1", "total_mib"), "{} MiB"),
    Field("compute_mode", word(at("compute_mode"), default="Default", prohibited="Prohibited",
                               exclusive_process="Exclusive_Process")),
    Field("ecc_mode/current_ecc", on(at("ecc", "mode_current"))),
    Field("ecc_mode/pending_ecc", on(at("ecc", "mode_pending"))),
    Field("ecc_errors/volatile/dram_uncorrectable", at("ecc", "dram_uncorrected_volatile")),
    Field("ecc_errors/aggregate/dram_uncorrectable", at("ecc", "dram_uncorrected_aggregate")),
    Field("retired_pages/multiple_single_bit_retirement/retired_count", at("ecc", "retired_pages", "single_bit")),
    Field("retired_pages/double_bit_retirement/retired_count", at("ecc", "retired_pages", "double_bit")),
    Field("retired_pages/pending_retirement", yes(at("ecc", "retired_pages", "pending"))),
    Field("remapped_rows/remapped_row_corr", at("ecc", "remapped_rows_corrected")),
    Field("remapped_rows/remapped_row_unc", at("ecc", "remapped_rows_uncorrected")),
    Field("remapped_rows/remapped_row_pending", yes(at("ecc", "remapping_pending"))),
    Field("remapped_rows/remapped_row_failure", yes(at("ecc", "remapping_failed"))),
    *(Field(f"remapped_rows/row_remapper_histogram/row_remapper_histogram_{part}",
            at("ecc", "remap_availability", part), "{} bank(s)") for part in ("max", "high", "partial", "low", "none")),
    Field("temperature/gpu_temp", at("temperature", "gpu_celsius"), "{} C", slack=5),
    Field("temperature/gpu_temp_tlimit", at("temperature", "margin_celsius"), "{} C", slack=5),
    Field("temperature/gpu_temp_max_tlimit_threshold", at("temperature", "shutdown_margin_celsius"), "{} C"),
    Field("temperature/gpu_temp_slow_tlimit_threshold", at("temperature", "slowdown_margin_celsius"), "{} C"),
    Field("temperature/gpu_temp_max_gpu_tlimit_threshold", at("temperature", "gpu_max_margin_celsius"), "{} C"),
    Field("temperature/gpu_temp_max_threshold", at("temperature", "shutdown_celsius"), "{} C"),
    Field("temperature/gpu_temp_slow_threshold", at("temperature", "slowdown_celsius"), "{} C"),
    Field("temperature/memory_temp", at("temperature", "memory_celsius"), "{} C", slack=5),
    Field("gpu_power_readings/current_power_limit", at("power", "limit_watts"), "{:.2f} W"),
    Field("gpu_power_readings/requested_power_limit", at("power", "limit_requested_watts"), "{:.2f} W"),
    Field("gpu_power_readings/default_power_limit", at("power", "limit_default_watts"), "{:.2f} W"),
    Field("gpu_power_readings/min_power_limit", at("power", "limit_min_watts"), "{:.2f} W"),
    Field("gpu_power_readings/max_power_limit", at("power", "limit_max_watts"), "{:.2f} W"),
    Field("clocks/graphics_clock", at("clocks", "graphics_mhz"), "{} MHz", slack=3000),
    Field("clocks/sm_clock", at("clocks", "sm_mhz"), "{} MHz", slack=3000),
    Field("clocks/mem_clock", at("clocks", "memory_mhz"), "{} MHz", slack=5000),
    Field("clocks/video_clock", at("clocks", "video_mhz"), "{} MHz", slack=3000),
    Field("max_clocks/graphics_clock", at("clocks", "graphics_max_mhz"), "{} MHz"),
    Field("max_clocks/sm_clock", at("clocks", "sm_max_mhz"), "{} MHz"),
    Field("max_clocks/mem_clock", at("clocks", "memory_max_mhz"), "{} MHz"),
    Field("fabric/state", word(at("fabric", "state"), completed="Completed", in_progress="In Progress",
                               not_started="Not Started", not_supported="N/A")),
    Field("fabric/cliqueId", at("fabric", "clique_id")),
    Field("fabric/clusterUuid", at("fabric", "cluster_uuid")),
]  # fmt: skip


def gpus(xml: str) -> dict[str, ElementTree.Element]:
    """The GPUs of an output by UUID."""
    found = ElementTree.fromstring(xml).findall("gpu")
    return {str(gpu.findtext("uuid")): gpu for gpu in found}


def differences(gpu: ElementTree.Element, facts: Facts) -> Iterator[str]:
    """Where the two disagree. An element that this driver does not write says nothing."""
    for field in FIELDS:
        told = gpu.findtext(field.path)
        if told is not None and not _agree(told.strip(), field, field.value(facts)):
            yield f"{field.path}: nvidia-smi says {told.strip()}, we {field.value(facts)}"


def compared(gpu: ElementTree.Element) -> int:
    """How many fields this output has."""
    return sum(gpu.findtext(field.path) is not None for field in FIELDS)


def _agree(told: str, field: Field, value: Any) -> bool:
    if value in (None, "None") or told in ABSENT:
        return told in {*ABSENT, "None"} and value in (None, "None", "N/A", 0)
    if not field.slack:
        return told == field.show.format(value)
    return abs(float(told.split()[0].rstrip("x")) - float(value)) <= field.slack
