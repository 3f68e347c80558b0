"""The example that trains: what a job of one's own can be copied from keeps to what namespace `ray` enforces."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.unit.roles.manifests import unknown_fields

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/first-training"
JOB = yaml.safe_load((EXAMPLE / "rayjob.yaml").read_text())["spec"]
HEAD = JOB["rayClusterSpec"]["headGroupSpec"]
[WORKERS] = JOB["rayClusterSpec"]["workerGroupSpecs"]
PODS = {
    "submitter": JOB["submitterPodTemplate"]["spec"],
    "head": HEAD["template"]["spec"],
    "worker": WORKERS["template"]["spec"],
}


@pytest.mark.parametrize("name", PODS)
def test_pods_meet_the_restricted_standard(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and nothing else of theirs is writable."""
    pod = PODS[name]
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "memory" in container["resources"]["limits"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", PODS)
def test_fields_are_those_that_kubernetes_knows(name: str) -> None:
    assert unknown_fields(PODS[name], "V1PodSpec") == []


def test_the_worker_alone_has_a_gpu() -> None:
    limits = {name: pod["containers"][0]["resources"]["limits"] for name, pod in PODS.items()}
    assert [name for name, limit in limits.items() if "nvidia.com/gpu" in limit] == ["worker"]
    assert (WORKERS["rayStartParams"]["num-gpus"], HEAD["rayStartParams"]["num-gpus"]) == ("1", "0")


def test_the_job_asks_for_a_token_and_gives_its_gpu_back() -> None:
    assert JOB["rayClusterSpec"]["authOptions"]["mode"] == "token"
    assert JOB["shutdownAfterJobFinishes"] is True
    assert JOB["backoffLimit"] >= 1
    assert JOB["activeDeadlineSeconds"] > 0


def test_it_is_of_the_version_that_is_installed() -> None:
    assert JOB["rayClusterSpec"]["rayVersion"] == yaml.safe_load((ROOT / "versions.yml").read_text())["platform"]["ray"]


def test_logins_come_from_secrets() -> None:
    for name in ("head", "worker"):
        environment = {each["name"]: each for each in PODS[name]["containers"][0]["env"]}
        secret = [each for each in environment if each.startswith("MLFLOW_TRACKING_") and "CERT" not in each]
        assert len(secret) == 3
        assert {environment[each]["valueFrom"]["secretKeyRef"]["name"] for each in secret} == {"mlflow-client"}


def generated(folder: Path) -> dict[str, list[str]]:
    """The files of the ConfigMaps that a kustomization makes."""
    found = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    return {each["name"]: each["files"] for each in found}


def test_what_the_job_runs_and_reads_is_in_its_configmaps() -> None:
    made = {**generated(EXAMPLE), **generated(EXAMPLE.with_name("dataset"))}
    mounted = [each["configMap"]["name"] for each in PODS["worker"]["volumes"] if "configMap" in each]
    assert sorted(mounted) == sorted(made)
    assert all((EXAMPLE / file).is_file() for file in made["first-training"])
    assert JOB["entrypoint"].rsplit("/", 1)[1] in made["first-training"]
    assert "points.csv.dvc" in made["dataset"]


def test_parameters_are_those_that_training_knows() -> None:
    tree = ast.parse((EXAMPLE / "train.py").read_text())
    [known] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Params"]
    names = [
        node.target.id for node in known.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    assert list(yaml.safe_load((EXAMPLE / "params.yaml").read_text())) == names
