"""versions.yml is the source; what installs from elsewhere agrees with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = yaml.safe_load((ROOT / "versions.yml").read_text())
DEFAULTS = {
    "microk8s_node_channel": ("microk8s", "channel"),
    "microk8s_node_base_snap": ("microk8s", "base_snap"),
    "gpu_driver_branch": ("nvidia", "driver_branch"),
    "container_toolkit_version": ("nvidia", "container_toolkit"),
    "gpu_device_plugin_version": ("nvidia", "device_plugin"),
    "shared_storage_version": ("storage", "local_path_provisioner"),
    "monitoring_prometheus_version": ("monitoring", "prometheus"),
    "monitoring_node_exporter_version": ("monitoring", "node_exporter"),
    "monitoring_blackbox_exporter_version": ("monitoring", "blackbox_exporter"),
    "monitoring_dcgm_exporter_version": ("monitoring", "dcgm_exporter"),
    "object_store_version": ("storage", "versitygw"),
    "mlflow_version": ("platform", "mlflow"),
    "ray_operator_version": ("platform", "kuberay"),
    "ray_version": ("platform", "ray"),
    "postgresql_operator_version": ("storage", "cloudnative_pg"),
    "postgresql_operator_manifest_sha256": ("storage", "cloudnative_pg_manifest_sha256"),
}
TRAINING = ["mlflow-skinny", "dvc", "numpy", "pandas", "nvidia-ml-py"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in ROOT.glob("roles/*/defaults/main.yml"):
        found |= yaml.safe_load(path.read_text()) or {}
    return found


def pins(path: Path) -> dict[str, str]:
    return {name.lower(): version for name, version in PIN.findall(path.read_text())}


@pytest.mark.parametrize("variable", DEFAULTS)
def test_roles_install_these(variable: str) -> None:
    part, key = DEFAULTS[variable]
    assert defaults()[variable] == VERSIONS[part][key]


def test_postgresql_is_upstreams_and_in_the_lab_debians() -> None:
    """The lab's by the variable that any site could set."""
    image = "ghcr.io/cloudnative-pg/postgresql"
    assert defaults()["postgresql_image"] == f"{image}:{VERSIONS['storage']['postgresql']}"
    set_by_lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/versions.yml").read_text())
    assert set_by_lab["postgresql_image"] == f"{image}:{VERSIONS['lab']['images']['postgresql']}"


def test_no_version_of_a_role_is_left_out() -> None:
    kinds = ("_version", "_channel", "_branch")
    assert {name for name in defaults() if name.endswith(kinds)} <= set(DEFAULTS)


def test_requirements_are_pinned_to_these() -> None:
    found = pins(ROOT / "requirements.txt")
    wanted = {name: version for name, version in VERSIONS["python"].items() if name != "minimum"}
    assert {name: found.get(name) for name in wanted} == wanted
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert [line for line in lines if line and "==" not in line] == []


def test_hosts_get_these() -> None:
    """And each file of the lock has a hash."""
    lock = ROOT / "roles/host_base/files/requirements.txt"
    found = pins(lock)
    assert {name: found.get(name.lower()) for name in VERSIONS["host_python"]} == VERSIONS["host_python"]
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", lock.read_text())[1:])


def test_the_gpu_exporter_is_built_of_these() -> None:
    """And is the image that the role runs."""
    found = pins(ROOT / "images/gpu-exporter/requirements.txt")
    wanted = VERSIONS["monitoring"] | VERSIONS["host_python"]
    assert found == {name: wanted[name] for name in ("nvidia-ml-py", "grpcio", "typing-extensions")}
    tag = VERSIONS["monitoring"]["gpu_exporter"]
    assert defaults()["monitoring_gpu_exporter_image"] == f"docker.io/groundwork/gpu-exporter:{tag}"
    assert VERSIONS["lab"]["images"]["gpu-exporter"] == tag


@pytest.mark.parametrize(
    ("lock", "names"),
    [
        ("images/dvc/requirements.txt", ["dvc"]),
        ("lab/images/mlflow/requirements.txt", ["mlflow", "psycopg2-binary", "boto3"]),
        ("lab/images/ray/requirements.txt", ["ray"]),
        ("images/first-training/requirements.txt", ["ray", *TRAINING, "torch"]),
        ("lab/images/first-training/requirements.txt", TRAINING),
    ],
)
def test_images_are_locked_to_these(lock: str, names: list[str]) -> None:
    """And each file of the lock has a hash."""
    found = pins(ROOT / lock)
    assert {name: found.get(name) for name in names} == {name: VERSIONS["platform"][name] for name in names}
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", (ROOT / lock).read_text())[1:])


def test_the_lab_has_the_platforms_images_by_the_names_that_roles_ask_for() -> None:
    tags = VERSIONS["lab"]["images"]
    assert tags["mlflow"] == f"v{VERSIONS['platform']['mlflow']}-full"
    assert tags["dvc"] == VERSIONS["platform"]["dvc"]
    set_by_lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/versions.yml").read_text())
    assert set_by_lab["dvc_image"] == f"docker.io/groundwork/dvc:{tags['dvc']}"


def test_ray_is_of_one_version() -> None:
    """As KubeRay is told, as in its image and in the one that stands on it, and as the lab has it."""
    platform, tags = VERSIONS["platform"], VERSIONS["lab"]["images"]
    image = f"docker.io/rayproject/ray:{platform['ray_image']}"
    assert platform["ray_image"].startswith(f"{platform['ray']}-")
    assert (defaults()["ray_image"], tags["ray"]) == (image, platform["ray_image"])
    for folder in ("images/first-training", "lab/images/first-training"):
        assert f"FROM {image}\n" in (ROOT / folder / "Containerfile").read_text()
    assert VERSIONS["lab"]["programs"]["kuberay"]["version"] == platform["kuberay"]
    assert platform["mlflow-skinny"] == platform["mlflow"]
    assert platform["nvidia-ml-py"] == VERSIONS["host_python"]["nvidia-ml-py"]


def test_rays_entrance_is_upstreams_and_in_the_lab_debians() -> None:
    """The lab's by the variable that any site could set."""
    image = "docker.io/nginxinc/nginx-unprivileged"
    assert defaults()["ray_entrance_image"] == f"{image}:{VERSIONS['platform']['nginx']}"
    set_by_lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/versions.yml").read_text())
    assert set_by_lab["ray_entrance_image"] == f"{image}:{VERSIONS['lab']['images']['nginx']}"


def test_the_first_training_runs_in_its_image() -> None:
    tag = VERSIONS["platform"]["first_training"]
    assert VERSIONS["lab"]["images"]["first-training"] == tag
    assert (
        f"image: docker.io/groundwork/first-training:{tag}\n"
        in (ROOT / "examples/first-training/rayjob.yaml").read_text()
    )
    set_by_lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/versions.yml").read_text())
    assert set_by_lab["gpu_burn_in_image"] == f"docker.io/groundwork/first-training:{tag}"


@pytest.mark.parametrize("name", ["prometheus", "node-exporter", "blackbox-exporter"])
def test_the_lab_asks_for_what_its_mirror_has(name: str) -> None:
    """Debian's versions, by the variables that any site could set."""
    set_by_lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/monitoring.yml").read_text())
    variable = f"monitoring_{name.replace('-', '_')}_version"
    assert f"v{set_by_lab[variable]}" == VERSIONS["lab"]["images"][name]


@pytest.mark.parametrize("program", VERSIONS["lab"]["programs"])
def test_programs_are_locked_to_these(program: str) -> None:
    wanted = VERSIONS["lab"]["programs"][program]
    module = (ROOT / f"lab/programs/{program}/go.mod").read_text()
    assert re.search(
        rf"^\s*(require )?{re.escape(wanted['module'])} {re.escape(wanted['version'])}( |$)", module, re.MULTILINE
    )


def test_every_program_has_a_version() -> None:
    assert {path.parent.name for path in ROOT.glob("lab/programs/*/go.mod")} == set(VERSIONS["lab"]["programs"])


def test_what_was_not_read_says_why() -> None:
    """A value that is null has its reason beside it."""
    for line in (ROOT / "versions.yml").read_text().splitlines():
        assert not re.search(r":\s*(null|~)?\s*$", line.split("#")[0]) or "#" in line or line.rstrip().endswith(":"), (
            line
        )
