"""The table that holds facts against `nvidia-smi -q -x`: driven by a published output of an H200 (driver 550.90.12)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.gpu import read
from ansible.module_utils.groundwork.gpu.nvml import Nvml

from tests.contract.gpu.smi_xml import FIELDS, compared, differences, gpus
from tests.unit.module_utils.fakes import field_values, gpu_library

UUID = "GPU-cb3dfa52-e2f3-9ca4-a399-7d16041c3732"
XML = f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><driver_version>550.90.12</driver_version><attached_gpus>1</attached_gpus>
<gpu id="00000000:03:00.0"><product_name>NVIDIA H200</product_name><product_architecture>Hopper</product_architecture>
<persistence_mode>Enabled</persistence_mode>
<mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
<serial>1753724031847</serial><uuid>{UUID}</uuid><minor_number>0</minor_number>
<vbios_version>96.00.A5.00.03</vbios_version><board_id>0x300</board_id>
<board_part_number>695-2G520-0280-000</board_part_number><gpu_module_id>3</gpu_module_id>
<inforom_version><img_version>G520.0280.02.02</img_version></inforom_version>
<gpu_virtualization_mode><virtualization_mode>Pass-Through</virtualization_mode></gpu_virtualization_mode>
<gsp_firmware_version>550.90.12</gsp_firmware_version>
<pci><pci_device_id>233510DE</pci_device_id><pci_bus_id>00000000:03:00.0</pci_bus_id>
<pci_sub_system_id>18BE10DE</pci_sub_system_id>
<pci_gpu_link_info><pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>5</current_link_gen>
<max_device_link_gen>5</max_device_link_gen></pcie_gen>
<link_widths><max_link_width>16x</max_link_width><current_link_width>16x</current_link_width></link_widths>
</pci_gpu_link_info><replay_counter>0</replay_counter></pci>
<fb_memory_usage><total>143771 MiB</total><reserved>700 MiB</reserved><used>1 MiB</used></fb_memory_usage>
<bar1_memory_usage><total>262144 MiB</total></bar1_memory_usage><compute_mode>Default</compute_mode>
<ecc_mode><current_ecc>Enabled</current_ecc><pending_ecc>Enabled</pending_ecc></ecc_mode>
<ecc_errors><volatile><dram_uncorrectable>0</dram_uncorrectable></volatile>
<aggregate><dram_uncorrectable>0</dram_uncorrectable></aggregate></ecc_errors>
<retired_pages><multiple_single_bit_retirement><retired_count>N/A</retired_count></multiple_single_bit_retirement>
<double_bit_retirement><retired_count>N/A</retired_count></double_bit_retirement>
<pending_retirement>N/A</pending_retirement></retired_pages>
<remapped_rows><remapped_row_corr>0</remapped_row_corr><remapped_row_unc>0</remapped_row_unc>
<remapped_row_pending>No</remapped_row_pending><remapped_row_failure>No</remapped_row_failure>
<row_remapper_histogram><row_remapper_histogram_max>3072 bank(s)</row_remapper_histogram_max>
<row_remapper_histogram_high>0 bank(s)</row_remapper_histogram_high></row_remapper_histogram></remapped_rows>
<temperature><gpu_temp>28 C</gpu_temp><gpu_temp_tlimit>59 C</gpu_temp_tlimit>
<gpu_temp_max_tlimit_threshold>-8 C</gpu_temp_max_tlimit_threshold>
<gpu_temp_slow_tlimit_threshold>-2 C</gpu_temp_slow_tlimit_threshold>
<gpu_temp_max_gpu_tlimit_threshold>0 C</gpu_temp_max_gpu_tlimit_threshold><memory_temp>25 C</memory_temp></temperature>
<gpu_power_readings><current_power_limit>700.00 W</current_power_limit>
<requested_power_limit>700.00 W</requested_power_limit><default_power_limit>700.00 W</default_power_limit>
<min_power_limit>200.00 W</min_power_limit><max_power_limit>700.00 W</max_power_limit></gpu_power_readings>
<clocks><graphics_clock>345 MHz</graphics_clock><sm_clock>345 MHz</sm_clock><mem_clock>3199 MHz</mem_clock>
<video_clock>765 MHz</video_clock></clocks>
<max_clocks><graphics_clock>1980 MHz</graphics_clock><sm_clock>1980 MHz</sm_clock><mem_clock>3201 MHz</mem_clock>
</max_clocks><fabric><state>Completed</state><cliqueId>0</cliqueId>
<clusterUuid>00000000-0000-0000-0000-000000000000</clusterUuid></fabric>
</gpu></nvidia_smi_log>"""


def memory(_handle: object, **_version: int) -> SimpleNamespace:
    return SimpleNamespace(total=143771 << 20, used=1 << 20, free=143072 << 20, reserved=700 << 20)


H200: dict[str, Any] = {
    "DeviceGetUUID": UUID,
    "DeviceGetName": "NVIDIA H200",
    "DeviceGetSerial": "1753724031847",
    "DeviceGetVbiosVersion": "96.00.A5.00.03",
    "DeviceGetGspFirmwareVersion": "550.90.12",
    "DeviceGetBoardId": 0x300,
    "DeviceGetBoardPartNumber": "695-2G520-0280-000",
    "DeviceGetInforomImageVersion": "G520.0280.02.02",
    "DeviceGetVirtualizationMode": 1,
    "DeviceGetPciInfo_v3": SimpleNamespace(busId="00000000:03:00.0", pciDeviceId=0x233510DE, pciSubSystemId=0x18BE10DE),
    "DeviceGetMemoryInfo": memory,
    "DeviceGetBAR1MemoryInfo": SimpleNamespace(bar1Total=262144 << 20, bar1Used=1 << 20, bar1Free=262143 << 20),
    "DeviceGetRowRemapperHistogram": SimpleNamespace(max=3072, high=0, partial=0, low=0, none=0),
    "DeviceGetTemperature": 28,
    "DeviceGetMarginTemperature": 59,
    "DeviceGetClockInfo": lambda _handle, kind: {0: 345, 1: 345, 2: 3199, 3: 765}[kind],
    "DeviceGetMaxClockInfo": lambda _handle, kind: {0: 1980, 1: 1980, 2: 3201}[kind],
}


def found(**functions: Any) -> list[str]:
    gpu = read.gpu(Nvml(gpu_library(**{**H200, **functions})), 0, Path("/nonexistent"))
    assert gpu.error is None
    return list(differences(gpus(XML)[UUID], json.loads(json.dumps(dataclasses.asdict(gpu)))))


def test_facts_agree_with_a_published_output() -> None:
    assert compared(gpus(XML)[UUID]) >= 50
    assert found() == []


@pytest.mark.parametrize(
    ("functions", "path"),
    [
        ({"DeviceGetSerial": "1"}, "serial"),
        ({"DeviceGetMigMode": (0, 1)}, "mig_mode/pending_mig"),
        ({"DeviceGetCurrPcieLinkWidth": 8}, "pci/pci_gpu_link_info/link_widths/current_link_width"),
        ({"DeviceGetTemperature": 99}, "temperature/gpu_temp"),
        ({"DeviceGetPowerManagementLimit": 350000}, "gpu_power_readings/requested_power_limit"),
        ({"DeviceGetRemappedRows": (0, 1, 1, 0)}, "remapped_rows/remapped_row_pending"),
        ({"DeviceGetRetiredPages": lambda *_: [1]}, "retired_pages/double_bit_retirement/retired_count"),
        ({"DeviceGetFieldValues": field_values({193: -5})}, "temperature/gpu_temp_max_tlimit_threshold"),
        ({"DeviceGetComputeMode": pynvml.NVML_COMPUTEMODE_PROHIBITED}, "compute_mode"),
    ],
)
def test_every_difference_is_told_by_its_element(functions: dict[str, Any], path: str) -> None:
    assert any(line.startswith(f"{path}: ") for line in found(**functions))


def test_no_element_is_held_twice() -> None:
    paths = [field.path for field in FIELDS]
    assert len(set(paths)) == len(paths)
