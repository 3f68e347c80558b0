#!/usr/bin/python3
"""The double of the driver's @FLAVOUR@ kernel module, version @VERSION@; modprobe's double runs it: load, unload, info.

Loading brings what the real one brings: device nodes, /proc/driver/nvidia, the driver's link in PCI sysfs. All of it is
made anew at each load from /etc/lab/nvidia/double.ini, the hardware. /proc/devices cannot be changed, and does not name
the driver.
"""

from __future__ import annotations

import configparser
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "@VERSION@"
FLAVOUR = "@FLAVOUR@"
OPEN = not FLAVOUR.startswith("proprietary")
HARDWARE = Path("/etc/lab/nvidia")
STATE = HARDWARE / "double.ini"
LOADED = (
    HARDWARE / "loaded"
)  # lab/doubles/nvidia/hardware.py: the module claimed another version than it was loaded with
TREE = HARDWARE / "proc/driver"  # bound over /proc/driver, here and in every container
SHOWN = Path("/proc/driver")
DEVICES = Path("/dev")
FUNCTIONS = HARDWARE / "sys/bus/pci/devices"

PERSISTENCED = Path("/run/nvidia-persistenced/nvidia-persistenced.pid")
MODULES = Path("/proc/modules")

NVIDIA, UVM, CAPABILITIES = 195, 508, 511  # majors; the last two are dynamic on real hosts
CONFIG, MONITOR = 1, 2  # minors of MIG's two capabilities of the whole driver
KEEPS_MIG_MODE = ("A100",)  # Ampere alone keeps it over a reset: NVIDIA's MIG user guide, "Enable MIG mode"
FIRST_WITH_GSP, FIRST_OPEN_ONLY = 0x1E00, 0x2900  # PCI device ids: Turing's first, Blackwell's first
LICENSE = "Dual MIT/GPL" if OPEN else "NVIDIA"
FORGOTTEN = {"persistence", "power_limit_mw", "compute_mode", "lock_gpu_min", "lock_gpu_max", "lock_mem_min"}
FORGOTTEN |= {"lock_mem_max", "ecc_corrected", "ecc_uncorrected", "remap_pending", "retired_pending", "reset_required"}


def load() -> None:
    """Find the GPUs and show the driver's files; does nothing when they are shown.

    Raises:
        OSError: ENODEV without a GPU, as the real one.
    """
    if os.path.ismount(SHOWN):
        make_nodes(listed())  # as nvidia-modprobe does, where one is missing
        return
    if not STATE.exists() or not any(map(can_drive, listed())):
        raise OSError(errno.ENODEV, "No such device")
    shutil.rmtree(TREE, ignore_errors=True)
    (TREE / "nvidia").mkdir(parents=True)
    gpus = initialise()
    write_files(gpus)
    os.link(STATE, TREE / "nvidia/double.ini")
    make_nodes(gpus)
    for gpu in gpus:
        bind(gpu)
    subprocess.run(["mount", "--bind", TREE, SHOWN], check=True)
    list_modules()


def unload() -> None:
    """Take it all away again.

    Raises:
        OSError: EBUSY while a process computes on a GPU.
    """
    if not os.path.ismount(SHOWN):
        return
    gpus = release()
    subprocess.run(["umount", SHOWN], check=True)
    if os.path.ismount(MODULES):
        subprocess.run(["umount", MODULES], check=True)
    shutil.rmtree(TREE)
    for node in DEVICES.glob("nvidia*"):
        shutil.rmtree(node) if node.is_dir() else node.unlink()
    for gpu in gpus:
        (FUNCTIONS / address(gpu) / "driver").unlink(missing_ok=True)


def initialise() -> list[configparser.SectionProxy]:
    """Write into the state which driver is loaded; instances, processes and settings of the time before are gone."""
    LOADED.unlink(missing_ok=True)
    with State() as state:
        state["host"]["driver"] = VERSION
        state["host"]["fabric_manager"] = ""
        for name in [name for name in state.sections() if ".gi." in name or ".proc." in name]:
            state.remove_section(name)
        gpus = list_gpus(state)
        for gpu in gpus:
            mode = gpu.get("mig_pending", "0") if gpu["model"].startswith(KEEPS_MIG_MODE) else "0"
            gpu["mig"] = gpu["mig_pending"] = mode
            if gpu.get("ecc_pending", "-1") != "-1":
                gpu["ecc"] = gpu["ecc_pending"]
            for key in FORGOTTEN | {"ecc_pending"}:
                gpu.pop(key, None)
        return gpus


def can_drive(gpu: configparser.SectionProxy) -> bool:
    """The open modules need a GPU system processor (Turing and newer); Blackwell and newer need the open modules."""
    device = int((FUNCTIONS / address(gpu) / "device").read_text(), 16)
    return device >= FIRST_WITH_GSP if OPEN else device < FIRST_OPEN_ONLY


def listed() -> list[configparser.SectionProxy]:
    """The GPUs, as they are."""
    with State() as state:
        return list_gpus(state)


def release() -> list[configparser.SectionProxy]:
    """Write into the state that no driver is loaded."""
    with State() as state:
        if persistence_daemon_runs() or any(".proc." in name for name in state.sections()):
            raise OSError(errno.EBUSY, "in use")
        state["host"]["driver"] = ""
        return list_gpus(state)


def list_gpus(state: configparser.ConfigParser) -> list[configparser.SectionProxy]:
    """The own sections of the GPUs that are there."""
    names = [name for name in state.sections() if name.startswith("gpu.") and name.count(".") == 1]
    return [state[name] for name in names if state[name].get("unplugged", "0") == "0"]


def persistence_daemon_runs() -> bool:
    """The daemon has the driver open, and so the module cannot go."""
    return PERSISTENCED.exists() and Path("/proc", PERSISTENCED.read_text().strip()).exists()


class State:
    """The hardware's state under its lock, rewritten in place: other views of it are links to this inode."""

    def __enter__(self) -> configparser.ConfigParser:
        self._file = STATE.open("r+")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._state = configparser.ConfigParser(interpolation=None, default_section="-")
        self._state.read_file(self._file)
        return self._state

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._file.seek(0)
            self._state.write(self._file)
            self._file.truncate()
        self._file.close()


def write_files(gpus: list[configparser.SectionProxy]) -> None:
    """The driver's texts under /proc/driver."""
    told = f"Open Kernel Module for x86_64  {VERSION}  Release Build  (double)"
    if not OPEN:
        told = f"x86_64 Kernel Module  {VERSION}  Thu Jan  1 00:00:00 UTC 2026 (double)"
    put(
        "nvidia/version",
        f"NVRM version: NVIDIA UNIX {told}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)\n",
    )
    put("nvidia/params", "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n")
    put("nvidia/registry", 'Binary: ""\n')
    put("nvidia/capabilities/mig/config", capability(CONFIG, 256))
    put("nvidia/capabilities/mig/monitor", capability(MONITOR, 292))
    put("nvidia-caps/mig-minors", mig_minors())
    for gpu in gpus:
        put(f"nvidia/gpus/{address(gpu)}/information", information(gpu))
        (TREE / f"nvidia/capabilities/gpu{gpu['minor']}/mig").mkdir(parents=True)


def put(path: str, text: str) -> None:
    """Write a file of the tree."""
    file = TREE / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def capability(minor: int, mode: int) -> str:
    """What a capability's file says of its device node."""
    return f"DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n"


def mig_minors() -> str:
    """The minor of every instance that there could be; the numbers are those of the NVML double's capabilities.c."""
    lines = [f"config {CONFIG}", f"monitor {MONITOR}"]
    for gpu in range(32):
        for instance in range(15):
            minor = 3 + gpu * 135 + instance * 9
            lines.append(f"gpu{gpu}/gi{instance}/access {minor}")
            lines += [f"gpu{gpu}/gi{instance}/ci{part}/access {minor + 1 + part}" for part in range(8)]
    return "\n".join(lines) + "\n"


def information(gpu: configparser.SectionProxy) -> str:
    """What /proc/driver/nvidia/gpus says of a GPU."""
    return (
        f"Model: \t\t {gpu['product']}\nIRQ:   \t\t {64 + int(gpu['minor'])}\nGPU UUID: \t {gpu['uuid']}\n"
        "Video BIOS: \t 96.00.99.00.01\nBus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\n"
        f"Bus Location: \t {address(gpu)}\nDevice Minor: \t {gpu['minor']}\nGPU Firmware: \t {VERSION}\n"
        "GPU Excluded:\t No\n"
    )


def address(gpu: configparser.SectionProxy) -> str:
    """The PCI address as sysfs writes it: 0000:1b:00.0."""
    return gpu["pci"][4:].lower()


def make_nodes(gpus: list[configparser.SectionProxy]) -> None:
    """What nvidia-modprobe and udev's rules make. No driver is behind the nodes: opening one says ENXIO."""
    for gpu in gpus:
        node(f"nvidia{gpu['minor']}", NVIDIA, int(gpu["minor"]))
    node("nvidiactl", NVIDIA, 255)
    node("nvidia-modeset", NVIDIA, 254)
    node("nvidia-uvm", UVM, 0)
    node("nvidia-uvm-tools", UVM, 1)
    node("nvidia-caps/nvidia-cap1", CAPABILITIES, CONFIG, 0o400)
    node("nvidia-caps/nvidia-cap2", CAPABILITIES, MONITOR, 0o444)


def node(name: str, major: int, minor: int, mode: int = 0o666) -> None:
    """Make a character device node; one that is there as it should be stays."""
    path, number = DEVICES / name, os.makedev(major, minor)
    path.parent.mkdir(exist_ok=True)
    if path.exists() and path.stat().st_rdev == number:
        return
    path.unlink(missing_ok=True)
    os.mknod(path, 0o020000 | mode, number)
    path.chmod(mode)


def bind(gpu: configparser.SectionProxy) -> None:
    """The PCI function says which driver it has; tools read the link's last name."""
    link = FUNCTIONS / address(gpu) / "driver"
    link.unlink(missing_ok=True)
    link.symlink_to("../../../../bus/pci/drivers/nvidia")


def list_modules() -> None:
    """Put the driver's modules at the head of /proc/modules; a kernel without loadable modules has no such file."""
    if not MODULES.exists():
        return
    listed = HARDWARE / "modules"
    listed.write_text("nvidia_uvm 2195456 0 - Live 0x0\nnvidia 14376960 1 nvidia_uvm, Live 0x0\n" + MODULES.read_text())
    subprocess.run(["mount", "--bind", listed, MODULES], check=True)


def info() -> None:
    """What modinfo prints of it."""
    path = Path(__file__).resolve()
    for key, value in {"filename": path, "version": VERSION, "license": LICENSE, "name": path.stem}.items():
        print(f"{key + ':':<16}{value}")


if __name__ == "__main__":
    os.umask(0o022)
    try:
        {"load": load, "unload": unload, "info": info}[sys.argv[1]]()
    except OSError as error:
        sys.exit(error.strerror)
