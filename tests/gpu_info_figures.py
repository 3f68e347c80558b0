"""How long module nvidia_gpu_info takes, against a bare script that reads the same fields and, on a GPU, nvidia-smi.

The library is the lab's double, with eight H100, where the machine has no NVIDIA driver. Everything is a process of its
own, started in turn, with its bytecode cached beforehand; the module is as Ansible packs it, which keeps none. `worker`
is what the module calls; its reading alone, without interpreter and imports, is measured inside such a process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BARE = str(ROOT / "tests/bare_gpu_info.py")

# Our modules under the name that they have in a packed module, and nothing of Ansible.
PRELUDE = f"""
import sys, types
for name in ("ansible", "ansible.module_utils"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [{str(ROOT / "module_utils")!r}] if name.endswith("utils") else []
from ansible.module_utils.groundwork.gpu.observe import observe
"""
WORKER = f"{PRELUDE}\nimport json; json.dump(observe(20).to_dict(), sys.stdout)"
READING = f"""{PRELUDE}
import contextlib, io, json, time
sys.path.insert(0, {str(ROOT / "tests")!r})
import bare_gpu_info
def seconds(work):
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()): work()
    return time.perf_counter() - began
works = {{"bare": bare_gpu_info.main, "worker": lambda: json.dump(observe(20).to_dict(), sys.stdout)}}
for work in works.values(): seconds(work)
json.dump({{name: [seconds(work) for _ in range(5)] for name, work in works.items()}}, sys.stdout)
"""


def figures(repeat: int) -> dict[str, list[float]]:
    """Seconds of each, taken in turn, so that what else the machine does hits all of them."""
    with _environment() as environment, tempfile.TemporaryDirectory() as folder:
        commands = {
            "bare script with the same fields, s": [sys.executable, BARE],
            "nvidia_gpu_info: the worker, s": [sys.executable, "-c", WORKER],
            "nvidia_gpu_info: the module as Ansible packs it, s": [sys.executable, str(_packed(Path(folder)))],
        }
        if shutil.which("nvidia-smi", path=environment["PATH"]):
            commands["nvidia-smi -q -x, s"] = ["nvidia-smi", "-q", "-x"]
        found: dict[str, list[float]] = {name: [] for name in commands}
        reading: dict[str, list[float]] = {"bare": [], "worker": []}
        for number in range(repeat + 1):
            for name, command in commands.items():
                seconds = _seconds(command, environment)
                found[name] += [seconds] if number else []  # the first fills caches
            for name, values in json.loads(_run([sys.executable, "-c", READING], environment)).items():
                reading[name] += values
    return {
        **found,
        "reading alone: bare, s": reading["bare"],
        "reading alone: the worker, s": reading["worker"],
    }


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Of the processes: bytecode is cached, and NVML is the machine's own or the double."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if Path("/proc/driver/nvidia/version").exists():
            yield environment
        else:
            yield {**environment, **_double(Path(cache))}


def _double(folder: Path) -> dict[str, str]:
    from lab import packages
    from lab.doubles.nvidia import hardware

    version = packages.driver_versions()[0]
    hardware.create(folder, "n1", "H100-80GB", 8)
    hardware.put_host(folder, driver=version)
    library = str(packages.driver_directory(version))
    return {"NVML_DOUBLE_STATE": str(folder / hardware.STATE), "NVML_DOUBLE_DEV": "", "LD_LIBRARY_PATH": library}


def _packed(folder: Path) -> Path:
    """The module with all that it imports and its arguments, in the one file that Ansible sends to a host."""
    program = f"""
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.plugins.loader import init_plugin_loader, module_utils_loader
init_plugin_loader()
module_utils_loader.add_directory({str(ROOT / "module_utils")!r})
built = modify_module(module_name="nvidia_gpu_info", module_path={str(ROOT / "library/nvidia_gpu_info.py")!r},
    module_args={{"_ansible_version": "2.19.0"}}, templar=Templar(DataLoader()), module_compression="ZIP_DEFLATED",
    task_vars={{"ansible_python_interpreter": sys.executable}})
sys.stdout.buffer.write(built.b_module_data)
"""
    file = folder / "packed.py"
    file.write_text(_run([sys.executable, "-c", f"import sys{program}"], {**os.environ, "ANSIBLE_HOME": str(folder)}))
    return file


def _seconds(command: list[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    _run(command, environment)
    return time.perf_counter() - began


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
