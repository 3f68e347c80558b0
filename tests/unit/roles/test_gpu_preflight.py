"""What stops a driver and the container toolkit, as their roles state it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.unit.roles.preflight import found

FACTS = {"architecture": "x86_64"}
# The head of MicroK8s's template, and what Docker's package containerd.io puts into its own configuration.
TEMPLATE = 'version = 2\noom_score = 0\n\n[plugins."io.containerd.grpc.v1.cri"]\n'
OURS = "# BEGIN the runtime nvidia, by Groundwork's role container_toolkit\n"
RUNTIME = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]\n'


def toolkit(template: str | None, docker: bool = False, sources: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """The toolkit's checks by their names, given a template and whether another containerd has a configuration."""
    content = base64.b64encode((template or "").encode()).decode()
    files = {"results": [{"stat": {"exists": docker}}, {"stat": {"exists": template is not None}}]}
    values: dict[str, Any] = {
        "ansible_facts": FACTS,
        "__container_toolkit_files": files,
        "__container_toolkit_slurped": {"content": content} if template is not None else {"skipped": True},
        "__container_toolkit_sources": {"files": [{"path": path} for path in sources]},
    }
    return {check["name"].partition(".")[2]: check for check in found("container_toolkit", **values)}


@pytest.mark.parametrize(
    ("template", "status"),
    [
        (None, "ok"),
        (TEMPLATE, "ok"),
        (f'disabled_plugins = ["cri"]\n{TEMPLATE}', "failed"),
        (f'disabled_plugins = [\n  "zfs",\n  "io.containerd.grpc.v1.cri",\n]\n{TEMPLATE}', "failed"),
        (f'disabled_plugins = ["zfs"]\n{TEMPLATE}', "ok"),
        (f'# disabled_plugins = ["cri"]\n{TEMPLATE}', "ok"),
    ],
)
def test_a_template_that_disables_kubernetes_is_refused(template: str | None, status: str) -> None:
    assert toolkit(template)["template_serves_kubernetes"]["status"] == status


@pytest.mark.parametrize(
    ("template", "status"),
    [(TEMPLATE, "ok"), (TEMPLATE + OURS + RUNTIME, "ok"), (TEMPLATE + RUNTIME, "failed")],
)
def test_a_runtime_of_somebody_else_is_refused(template: str, status: str) -> None:
    assert toolkit(template)["one_owner_of_the_runtime"]["status"] == status


@pytest.mark.parametrize(("docker", "status"), [(True, "warning"), (False, "ok")])
def test_docker_beside_microk8s_is_a_warning(docker: bool, status: str) -> None:
    assert toolkit(TEMPLATE, docker)["other_containerd"]["status"] == status


def test_another_description_of_the_repository_is_named() -> None:
    check = toolkit(None, sources=("/etc/apt/sources.list.d/nvidia.list",))["one_description_of_the_repository"]
    assert (check["status"], check["observed"]) == ("failed", "/etc/apt/sources.list.d/nvidia.list")


SEEN: dict[str, Any] = {
    "supported": True,
    "distribution": "debian",
    "release": "12",
    "architecture": "x86_64",
    "runfile_installed": False,
    "nouveau_loaded": False,
}
GPU = {"kind": "gpu", "bus_id": "0000:1b:00.0", "device_id": "2330"}


@pytest.mark.parametrize(
    ("seen", "gpus", "name", "status"),
    [
        ({}, [GPU], "gpu_on_pci_bus", "ok"),
        ({}, [{**GPU, "kind": "nvswitch"}], "gpu_on_pci_bus", "failed"),
        ({"supported": False}, [GPU], "system", "failed"),
        ({"runfile_installed": True}, [GPU], "no_run_file", "failed"),
        ({"nouveau_loaded": True}, [GPU], "nouveau", "warning"),
    ],
)
def test_what_stops_a_driver(seen: dict[str, Any], gpus: list[dict[str, str]], name: str, status: str) -> None:
    foreseen = {"name": "gpu_driver.secure_boot", "status": "ok", "observed": "", "wanted": "", "remedy": ""}
    checks = found(
        "gpu_driver",
        __gpu_driver={**SEEN, **seen},
        __gpu_driver_gpus={"pci_devices": gpus},
        __gpu_driver_sources={"skipped": True},
        __gpu_driver_foreseen={"checks": [foreseen]},
    )
    assert {check["name"]: check["status"] for check in checks}[f"gpu_driver.{name}"] == status
    assert foreseen in checks
