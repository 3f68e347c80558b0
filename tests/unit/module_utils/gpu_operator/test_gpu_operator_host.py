"""What a GPU Operator leaves on a host, told from what MicroK8s and Groundwork write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu_operator import host
from ansible.module_utils.groundwork.gpu_operator.host import Host
from ansible.module_utils.groundwork.microk8s.paths import Paths

ROOT = Path(__file__).parents[4]
DEFAULT = (ROOT / "lab/doubles/microk8s/snap/default-args/containerd-template.toml").read_text()
OURS = """# BEGIN the runtime nvidia, by Groundwork's role container_toolkit
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "${RUNTIME_TYPE}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
    BinaryName = "/usr/bin/nvidia-container-runtime"
# END the runtime nvidia, by Groundwork's role container_toolkit
"""
# As nvidia-ctk-installer 1.18 writes it out of containerd.toml: go-toml sorts tables, and comments are gone.
THEIRS = """oom_score = 0
version = 2

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    enable_cdi = true

    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/var/snap/microk8s/8148/opt/cni/bin"

    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "nvidia"
      snapshotter = "overlayfs"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
            BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
"""
REVERTED = THEIRS.partition("      default_runtime_name")[0] + '      snapshotter = "overlayfs"\n'
VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)\n"


def put(root: Path, name: str, text: str = "x") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    put(tmp_path, "snap/microk8s/current/default-args/containerd-template.toml", DEFAULT)
    put(tmp_path, "var/snap/microk8s/current/args/containerd-template.toml", DEFAULT + OURS)
    put(tmp_path, "var/snap/microk8s/current/args/containerd.toml", (DEFAULT + OURS).replace("${RUNTIME}", "runc"))
    return Paths(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DEFAULT, ()),
        (DEFAULT + OURS, ()),
        (DEFAULT.replace("[plugins.", "enable_cdi = true\n[plugins.", 1) + OURS, ()),
        (DEFAULT.replace("${SNAPSHOTTER}", "native"), ()),
        (DEFAULT.replace('"${RUNTIME}"', '"nvidia"'), ("nvidia is the default runtime",)),
        (
            DEFAULT + OURS.replace("by Groundwork's role", "by"),
            ("a runtime nvidia that is not ours",),
        ),
        (
            'imports = ["/etc/containerd/conf.d/*.toml"]\n' + DEFAULT,
            ("imports of /etc/containerd/conf.d",),
        ),
        ('disabled_plugins = ["cri"]\n' + DEFAULT, ("the plugin cri disabled",)),
        (REVERTED, ("its placeholders are filled in for good",)),
        (
            THEIRS,
            (
                "nvidia is the default runtime",
                "a runtime nvidia that is not ours",
                "programs in /usr/local/nvidia/toolkit",
                "its placeholders are filled in for good",
            ),
        ),
        (
            DEFAULT + '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes."nvidia-cdi"]\n',
            ("a runtime nvidia that is not ours",),
        ),
    ],
)
def test_templates(text: str, found: tuple[str, ...]) -> None:
    assert host.foreign(text, DEFAULT) == found


def test_a_host_of_ours_is_free(paths: Paths) -> None:
    found = host.observe(paths)
    assert found == Host(template=())
    assert [check.status for check in host.checks(found)] == ["ok", "ok"]


def test_a_host_without_microk8s_has_no_template(tmp_path: Path) -> None:
    assert host.observe(Paths(tmp_path)).template is None


def test_a_containerd_that_was_not_started_since_is_told(paths: Paths) -> None:
    put(paths.root, "var/snap/microk8s/current/args/containerd.toml", THEIRS)
    found = host.observe(paths)
    assert found.foreign
    assert (found.template or ("",))[0] == "containerd still runs with nvidia is the default runtime"


def test_files_go_and_others_stay(paths: Paths) -> None:
    put(paths.root, "usr/local/nvidia/toolkit/nvidia-container-runtime")
    put(paths.root, "usr/local/nvidia/mine")
    put(paths.root, "run/nvidia/validations/driver-ready")
    put(paths.root, "run/nvidia/persistenced.pid")
    put(paths.root, "run/nvidia/mps/made-by-the-device-plugin")
    put(paths.root, "var/run/cdi/management.nvidia.com-gpu.yaml")
    put(paths.root, "var/run/cdi/nvidia.yaml")
    put(paths.root, host.DROP_IN, 'BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"')
    answer = host.clean(paths, change=True)
    assert (answer["changed"], len(answer["removed"])) == (True, 4)
    left = ("usr/local/nvidia/mine", "run/nvidia/persistenced.pid", "run/nvidia/mps", "var/run/cdi/nvidia.yaml")
    assert [name for name in left if not (paths.root / name).exists()] == []
    assert host.clean(paths, change=True)["changed"] is False


def test_a_drop_in_of_somebody_else_stays(paths: Paths) -> None:
    put(paths.root, host.DROP_IN, 'BinaryName = "/usr/bin/nvidia-container-runtime"')
    assert host.observe(paths).files == ()


def test_check_mode_removes_nothing(paths: Paths) -> None:
    put(paths.root, "run/nvidia/toolkit/toolkit.pid")
    assert host.clean(paths, change=False)["removed"] == ["/run/nvidia/toolkit"]
    assert host.observe(paths).files == ("/run/nvidia/toolkit",)


def test_programs_stay_while_containers_need_them(paths: Paths) -> None:
    put(paths.root, "usr/local/nvidia/toolkit/nvidia-container-runtime")
    names = {"io.kubernetes.cri.sandbox-namespace": "default", "io.kubernetes.cri.sandbox-name": "web-0"}
    put(paths.root, f"{host.BUNDLES}/1f0e/config.json", json.dumps({"annotations": names}))
    put(paths.root, f"{host.BUNDLES}/1f0e/runtime", "/usr/local/nvidia/toolkit/nvidia-container-runtime")
    put(paths.root, f"{host.BUNDLES}/2a3b/options.json", '{"binary_name":"/usr/bin/nvidia-container-runtime"}')
    answer = host.clean(paths, change=True)
    assert (answer["changed"], answer["kept"], answer["used_by"]) == (
        False,
        ["/usr/local/nvidia/toolkit"],
        ["default/web-0"],
    )
    assert answer["checks"][1]["status"] == "warning"
    assert "default/web-0" in answer["checks"][1]["observed"]


@pytest.mark.parametrize(
    ("library", "version"), [("", "580.95.05"), ("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "")]
)
def test_a_driver_without_a_library_is_a_containers(library: str, version: str, paths: Paths) -> None:
    put(paths.root, "proc/driver/nvidia/version", VERSION)
    if library:
        put(paths.root, library)
    assert host.observe(paths).old_driver == version
