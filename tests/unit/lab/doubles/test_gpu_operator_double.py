"""The stand-in for the operator's toolkit writes containerd's template as the real one does."""

from __future__ import annotations

import pytest
import tomllib
from ansible.module_utils.groundwork.gpu_operator import host

from lab.doubles.gpu_operator.chart.files import operator_double, toolkit_double
from lab.doubles.microk8s.double import containerd, lab_host
from lab.snaps import DOUBLE

TEMPLATE = (DOUBLE / "snap/default-args/containerd-template.toml").read_text()
OURS = """# BEGIN the runtime nvidia, by Groundwork's role container_toolkit
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "${RUNTIME_TYPE}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
    BinaryName = "/usr/bin/nvidia-container-runtime"
# END the runtime nvidia, by Groundwork's role container_toolkit
"""


def rendered(template: str) -> str:
    """containerd.toml as the lab's microk8s writes it."""
    return containerd.substitute(template, "/snap/microk8s/8148", "/var/snap/microk8s/8148", cgroup2=True)


@pytest.mark.parametrize("template", [TEMPLATE, TEMPLATE + OURS])
def test_its_runtimes_are_there_and_nvidia_is_the_default(template: str) -> None:
    written = toolkit_double.setup(rendered(template))
    found = tomllib.loads(written)["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
    assert found["default_runtime_name"] == "nvidia"
    assert {"runc", "nvidia", "nvidia-cdi", "nvidia-legacy"} <= set(found["runtimes"])
    assert found["runtimes"]["nvidia"]["options"]["BinaryName"].startswith("/usr/local/nvidia/toolkit/")
    assert len(host.foreign(written, TEMPLATE)) == 4


@pytest.mark.parametrize("template", [TEMPLATE, TEMPLATE + OURS])
def test_at_its_end_placeholders_stay_lost(template: str) -> None:
    left = toolkit_double.written_anew(rendered(toolkit_double.setup(rendered(template))))
    assert "nvidia" not in tomllib.loads(left)["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    assert host.foreign(left, TEMPLATE) == ("its placeholders are filled in for good",)


def test_a_second_start_writes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_host, "_base_specification", lambda: "/x")
    once = toolkit_double.setup(rendered(TEMPLATE))
    assert toolkit_double.setup(lab_host.adapt_containerd(rendered(once))) == once


def test_operands_run_where_the_operator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGE", "DEVICE_PLUGIN_IMAGE"):
        monkeypatch.setenv(name, "image")
    selectors = [one["spec"]["template"]["spec"]["nodeSelector"] for one in operator_double.operands()]
    assert all(selector.items() <= operator_double.LABELS.items() for selector in selectors)
