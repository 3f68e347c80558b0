"""What a GPU Operator leaves on a host: containerd's template, the toolkit's files, CDI specifications, the driver.

Its toolkit reads containerd.toml and writes the template: comments and MicroK8s's placeholders are gone even where it
takes its runtimes out again (nvidia-ctk-installer, container/runtime/containerd; the addon's RUNTIME_CONFIG_SOURCE). A
template without them still holds paths of one revision of the snap, which a refresh removes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.check import Check, judge, warning
from ansible.module_utils.groundwork.gpu import kernel
from ansible.module_utils.groundwork.microk8s.paths import Paths

TOOLKIT = "usr/local/nvidia/toolkit"
TEMPLATE = "args/containerd-template.toml"
RENDERED = "args/containerd.toml"
DROP_IN = "etc/containerd/conf.d/99-nvidia.toml"
"""Where toolkits from 1.18 on write their runtimes, unless they are told otherwise."""
TRACES = (
    "run/nvidia/toolkit",
    "run/nvidia/validations",
    "var/run/cdi/management.nvidia.com-gpu.yaml",
)
"""Not run/nvidia/mps: NVIDIA's device plugin makes that wherever it runs, ours too."""
BUNDLES = "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io"
OURS = re.compile(r"^# BEGIN [^\n]*Groundwork.*?^# END [^\n]*\n?", re.DOTALL | re.MULTILINE)
PLACEHOLDER = re.compile(r"\$\{\w+\}")
FOREIGN = (
    (re.compile(r'^\s*default_runtime_name\s*=\s*["\']nvidia', re.MULTILINE), "nvidia is the default runtime"),
    (
        re.compile(r"containerd[\"']?\.runtimes\.[\"']?nvidia(-cdi|-legacy)?[\"']?\]"),
        "a runtime nvidia that is not ours",
    ),
    (re.compile(re.escape(f"/{TOOLKIT}")), f"programs in /{TOOLKIT}"),
    (re.compile(r"^\s*imports\s*=.*/etc/containerd/conf\.d", re.MULTILINE), "imports of /etc/containerd/conf.d"),
    (re.compile(r"^\s*disabled_plugins\s*=.*cri", re.MULTILINE), "the plugin cri disabled"),
)
LIBRARIES = ("usr/lib/*/libnvidia-ml.so.1", "usr/lib64/libnvidia-ml.so.1")


@dataclass(frozen=True)
class Host:
    """What is there.

    template    what in containerd's template is not MicroK8s's or ours; None where there is no MicroK8s
    files       files and folders of the operator's toolkit
    used_by     containers that were started by the toolkit's programs, which their ends need too
    old_driver  the version of loaded kernel modules that no driver of the host's stands behind
    """

    template: tuple[str, ...] | None
    files: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    old_driver: str = ""

    @property
    def removable(self) -> tuple[str, ...]:
        """Files that nothing needs any more."""
        return tuple(path for path in self.files if not (self.used_by and path == f"/{TOOLKIT}"))

    @property
    def kept(self) -> tuple[str, ...]:
        """Files that stay until a container ends."""
        return tuple(path for path in self.files if path not in self.removable)

    @property
    def foreign(self) -> bool:
        """Whether MicroK8s's template must be put back."""
        return bool(self.template)


def observe(paths: Paths) -> Host:
    """Look at the host."""
    return Host(_template(paths), tuple(_files(paths.root)), tuple(sorted(set(_users(paths)))), _old_driver(paths.root))


def clean(paths: Paths, change: bool) -> dict[str, Any]:
    """The module's answer; without `change` nothing is done."""
    found = observe(paths)
    if change:
        remove(found, paths.root)
    return {
        "changed": bool(found.removable),
        "template": None if found.template is None else list(found.template),
        "removed": list(found.removable),
        "kept": list(found.kept),
        "used_by": list(found.used_by),
        "old_driver": found.old_driver,
        "checks": [check.to_dict() for check in checks(found)],
        "diff": {
            "before": "".join(f"{path}\n" for path in found.files),
            "after": "".join(f"{path}\n" for path in found.kept),
        },
    }


def checks(found: Host) -> list[Check]:
    """Whether the host is free of it."""
    remedy = "Run playbooks/operations/adopt.yml, which takes the cluster over."
    left = found.template or ()
    template = judge(
        "gpu_operator.template_is_microk8s",
        not left,
        "; ".join(left) or "containerd's template is MicroK8s's, with nothing but Groundwork's edit",
        "containerd's template is MicroK8s's, with nothing but Groundwork's edit",
        remedy,
    )
    return [template, _files_check(found, remedy)]


def _files_check(found: Host, remedy: str) -> Check:
    name, wanted = "gpu_operator.no_files_are_left", "no files of a GPU Operator's toolkit"
    if found.removable or not found.kept:
        return judge(name, not found.files, ", ".join(found.files) or wanted, wanted, remedy)
    return warning(
        name,
        f"{', '.join(found.kept)}, for {len(found.used_by)} pods that it started: {', '.join(found.used_by)}",
        wanted,
        "They run on; restart them, or reboot the host, when it suits, and run playbooks/operations/adopt.yml again.",
    )


def remove(found: Host, root: Path) -> None:
    """Take away what nothing needs."""
    for name in found.removable:
        path = root / name.lstrip("/")
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def foreign(text: str, default: str) -> tuple[str, ...]:
    """What in a template is neither MicroK8s's nor ours."""
    rest = OURS.sub("", text)
    placeholders = set(PLACEHOLDER.findall(default))
    lost = placeholders and not placeholders & set(PLACEHOLDER.findall(rest))
    return (*_marks(rest), *(("its placeholders are filled in for good",) if lost else ()))


def _marks(text: str) -> tuple[str, ...]:
    return tuple(words for pattern, words in FOREIGN if pattern.search(text))


def _template(paths: Paths) -> tuple[str, ...] | None:
    default = paths.root / "snap/microk8s/current/default-args/containerd-template.toml"
    mine = paths.data / TEMPLATE
    if not default.exists() or not mine.exists():
        return None
    found = foreign(mine.read_text(encoding="utf-8"), default.read_text(encoding="utf-8"))
    # The template may be MicroK8s's again, and containerd not started since: a run was killed in between.
    runs_with = _marks(OURS.sub("", _text(paths.data / RENDERED)))
    return found or tuple(f"containerd still runs with {words}" for words in runs_with)


def _files(root: Path) -> Iterator[str]:
    for name in (TOOLKIT, *TRACES):
        if (root / name).exists():
            yield f"/{name}"
    drop_in = root / DROP_IN
    if drop_in.exists() and f"/{TOOLKIT}" in drop_in.read_text(encoding="utf-8"):
        yield f"/{DROP_IN}"


def _users(paths: Paths) -> Iterator[str]:
    """Containers whose shim calls the toolkit's runtime: it is called for each exec, signal and end."""
    for bundle in (paths.root / BUNDLES).glob("*"):
        if f"/{TOOLKIT}" in _text(bundle / "options.json") + _text(bundle / "runtime"):
            yield _pod(bundle)


def _pod(bundle: Path) -> str:
    annotations = json.loads(_text(bundle / "config.json") or "{}").get("annotations") or {}
    known = [annotations.get(f"io.kubernetes.cri.sandbox-{part}") for part in ("namespace", "name")]
    return "/".join(filter(None, known)) or bundle.name


def _old_driver(root: Path) -> str:
    """Its containers take the modules out at their end, unless something has them open still."""
    version, _ = kernel.observe(root / "proc")
    return "" if version is None or any(next(root.glob(name), None) for name in LIBRARIES) else version


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
