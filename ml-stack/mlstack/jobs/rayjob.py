"""Jobs that bring a cluster of Ray of their own: a RayJob of KubeRay's, by kubectl."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlstack.config import Config
from mlstack.errors import MlstackError, UsageError
from mlstack.jobs import project
from mlstack.jobs.record import Record, State

TEMPLATE = Path(__file__).parent / "rayjob.yaml"
FOLDER = "/project"
"""Where all of the job's pods see the same files."""
STATES: dict[str, State] = {"SUCCEEDED": "succeeded", "FAILED": "failed", "STOPPED": "stopped"}
START_TIMEOUT = "30m"
"""For a GPU and an image, as long as the log waits."""


class RayJob:
    """The cluster (record.Place)."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def start(self, name: str, words: tuple[str, ...], folder: Path) -> int:  # one signature for all
        """Apply the job, and the claim that all jobs share."""
        self._kubectl("apply", "--filename=-", given=yaml.safe_dump_all(manifest(self._config, name, words)))
        return 0

    def follow(self, record: Record, folder: Path) -> Iterator[str]:
        """The log, once there is one."""
        self._kubectl("wait", "--for=create", f"job/{record.name}", f"--timeout={START_TIMEOUT}")
        words = self._words("logs", "--follow", f"--pod-running-timeout={START_TIMEOUT}", f"job/{record.name}")
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=self._environment(), text=True) as process:
            yield from process.stdout or ()

    def state(self, record: Record, folder: Path) -> State:
        """As KubeRay says."""
        said = self._kubectl("get", f"rayjobs.ray.io/{record.name}", "--output=jsonpath={.status.jobStatus}")
        return STATES.get(said.strip(), "running")

    def stop(self, record: Record, folder: Path) -> None:
        """Remove it, and its cluster with it."""
        self._kubectl("delete", f"rayjobs.ray.io/{record.name}", f"configmap/{record.name}", "--ignore-not-found")

    def _kubectl(self, *words: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                self._words(*words), input=given, capture_output=True, text=True, env=self._environment(), check=False
            )
        except OSError as error:
            raise UsageError(f"kubectl cannot be run: {error.strerror}", "Install it, or take --to ray.") from None
        if done.returncode:
            raise MlstackError(
                f"kubectl {words[0]}: {' '.join(done.stderr.split())[:500]}", "Correct that, and run it again."
            )
        return done.stdout

    def _words(self, *words: str) -> list[str]:
        return ["kubectl", f"--namespace={self._config.platform.namespace}", *words]

    def _environment(self) -> dict[str, str]:
        artifacts = self._config.platform.artifacts
        ours = artifacts / "kubeconfig" if artifacts else None
        return os.environ | ({"KUBECONFIG": str(ours.resolve())} if ours and ours.exists() else {})


def manifest(config: Config, name: str, words: tuple[str, ...]) -> list[dict[str, Any]]:
    """The claim, the project's files and the job."""
    claim, given, job = yaml.safe_load_all(TEMPLATE.read_text())
    files = {project.PARAMS: project.params(config, artifacts=None, state="state"), **project.files(config)}
    keys = {path: path.lstrip(".").replace("/", "-") for path in files}  # a ConfigMap has no folders
    given["data"] = {keys[path]: text for path, text in files.items()}
    items = [{"key": key, "path": path} for path, key in keys.items()]
    _fill_pods(config, job["spec"], {"name": name, "items": items})
    job["spec"]["entrypoint"] = _entrypoint(config, words)
    [workers] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    workers |= {key: _workers(config, words) for key in ("replicas", "minReplicas", "maxReplicas")}
    for document in (claim, given, job):
        document["metadata"] = {"namespace": config.platform.namespace, "name": name} | document["metadata"]
    return [claim, given, job]


def _entrypoint(config: Config, words: tuple[str, ...]) -> str:
    """In a folder for each model; links of a ConfigMap become files, since DVC writes beside them."""
    folder = shlex.quote(f"{FOLDER}/{config.model.name}")
    script = f"mkdir -p {folder} && cd {folder} && cp -rL /opt/project/. . && {project.entrypoint(words)}"
    return shlex.join(["sh", "-c", script])


def _workers(config: Config, words: tuple[str, ...]) -> int:
    """With a GPU each; none where the head does it all."""
    return {"train": config.training.workers, "tune": config.tune.concurrent, "batch": 1}.get(words[0], 0)


def _with_value(variable: dict[str, Any]) -> dict[str, Any]:
    told = project.environment()
    return {**variable, "value": told[variable["name"]]} if variable["name"] in told else variable


def _fill_pods(config: Config, spec: dict[str, Any], given: dict[str, Any]) -> None:
    """Image, commit and files of every pod."""
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in (spec["submitterPodTemplate"]["spec"], *(group["template"]["spec"] for group in groups)):
        [container] = pod["containers"]
        container["image"] = config.platform.image
        container["env"] = [_with_value(one) for one in container["env"]]
        for volume in pod["volumes"]:
            if "configMap" in volume:
                volume["configMap"] = given
