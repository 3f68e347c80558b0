"""Ray as outsiders meet it, and a training on it from its data to its model, whose worker dies on the way."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import outside
import pytest
import yaml
from site_under_test import ROOT, Report, Site, await_that

EXAMPLES = ROOT / "examples"
LOCKED = yaml.safe_load((EXAMPLES / "dataset/points.csv.dvc").read_text())["outs"][0]
NODES = ("n2", "n3")
UUID = re.compile(r"GPU-[0-9a-f-]{36}")
TOLD = """
import json, sys, mlflow
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("first-training")
since = f"attributes.start_time > {sys.argv[1]}"
runs = client.search_runs([experiment.experiment_id], since, max_results=1) if experiment else []
for run in runs:
    models = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    files = client.list_artifacts(run.info.run_id)
    print(json.dumps({
        "status": run.info.status, "tags": run.data.tags, "params": run.data.params, "metrics": run.data.metrics,
        "files": [file.path for file in files], "models": [[model.name, model.status] for model in models],
        "steps": len(client.get_metric_history(run.info.run_id, "accuracy")) if "accuracy" in run.data.metrics else 0,
    }))
"""


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    """What people find in artifacts/."""
    path = site.artifacts / "ray.yml"
    assert path.stat().st_mode & 0o077 == 0
    return str(yaml.safe_load(path.read_text())["token"])


def ask(site: Site, host: str, path: str, token: str | None, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """The status and text of an answer to this machine."""
    address = site.lab.shell(host, "hostname -I").split()[0]
    context = ssl.create_default_context(cafile=str(site.artifacts / "ca.crt"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with opener.open(urllib.request.Request(f"https://{address}:30265{path}", data, headers), timeout=30) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_the_report_tells_that_a_job_got_its_gpu(proved: Report) -> None:
    assert {"ray.head_is_as_declared", "ray.refuses_strangers"} <= set(proved.proofs)
    assert UUID.search(proved.proofs["ray.job_gets_its_gpus"])


@pytest.mark.parametrize("host", ["n1", "n2", "n3"])
def test_every_node_is_an_entrance_for_who_has_the_token(site: Site, host: str, token: str) -> None:
    job = {"entrypoint": "true"}
    assert [ask(site, host, path, None)[0] for path in ("/api/version", "/api/jobs/", "/logs")] == [401] * 3
    assert (ask(site, host, "/api/jobs/", None, job)[0], ask(site, host, "/api/jobs/", "wrong", job)[0]) == (401, 403)
    assert ask(site, host, "/api/jobs/", token)[0] == 200


def test_the_head_has_no_gpu_and_holds_none(site: Site) -> None:
    pod = site.kubectl(
        "get", "pods", "-n", "ray", "-l", "ray.io/cluster=ray,ray.io/node-type=head", "-o", "name"
    ).strip()
    seen = site.kubectl(
        "exec", "-n", "ray", pod, "-c", "ray-head", "--", "sh", "-c", "ls /dev/nvidia* 2>/dev/null || true"
    )
    assert seen == ""


def told(site: Site, python: Path, since: int, folder: Path) -> dict[str, Any]:
    """What MLflow's own client tells of the newest run since then (ms); nothing where there is none."""
    found: dict[str, Any] = json.loads(outside.run(site, python, "-c", TOLD, str(since), folder=folder) or "{}")
    return found


def kubectl_on_examples(site: Site, *words: str) -> None:
    """Have kubectl read the examples' folder, on the first host."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in [file for name in ("dataset", "first-training") for file in sorted((EXAMPLES / name).glob("*.*"))]:
            archive.add(file, str(file.relative_to(EXAMPLES)))
    text = base64.b64encode(packed.getvalue()).decode()
    unpack = f"mkdir -p /root/examples && echo {text} | base64 -d | tar -xz -C /root/examples"
    site.lab.shell("n1", f"{unpack} && /snap/bin/microk8s kubectl {' '.join(words)}")


def job(site: Site) -> dict[str, Any]:
    """Where the RayJob stands."""
    found = site.kubectl("get", "rayjobs", "-n", "ray", "first-training", "-o", "json", "--ignore-not-found")
    status: dict[str, Any] = json.loads(found or "{}").get("status", {})
    return status


@pytest.fixture(scope="module")
def training(site: Site, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What MLflow tells of a training whose first worker was killed when it had reported something."""
    folder, began = tmp_path_factory.mktemp("training"), int(time.time() * 1000)
    shutil.copytree(EXAMPLES / "dataset", folder / "dataset")
    outside.run(site, python, "make.py", folder=folder / "dataset")
    for words in (["add", "-q", "points.csv"], ["push", "-q"]):
        outside.run(site, python, "-m", "dvc", *words, folder=folder / "dataset")
    kubectl_on_examples(site, "apply", "-k", "/root/examples/first-training")
    await_that(lambda: told(site, python, began, folder).get("steps"), 600, "a first metric in MLflow")
    site.kubectl("delete", "pods", "-n", "ray", "-l", "ray.io/group=gpu", "--now", timeout=120)
    await_that(lambda: job(site).get("jobDeploymentStatus") in ("Complete", "Failed"), 900, "the end of the RayJob")
    yield {**told(site, python, began, folder), "job": job(site)}
    kubectl_on_examples(site, "delete", "-k", "/root/examples/first-training", "--wait=true")


def test_a_training_whose_worker_dies_is_done_by_another(training: dict[str, Any]) -> None:
    assert training["job"]["jobStatus"] == "SUCCEEDED", training["job"]
    assert training["status"] == "FINISHED"
    first, second = training["tags"]["workers"].split()
    assert first != second


def test_the_run_names_its_data_and_its_gpu(site: Site, training: dict[str, Any]) -> None:
    listed = {uuid for node in NODES for uuid in UUID.findall(site.lab.shell(node, "nvidia-smi -L"))}
    assert training["tags"]["data.md5"] == LOCKED["md5"]
    assert training["tags"]["gpu.uuid"] in listed
    assert set(training["params"]) == set(yaml.safe_load((EXAMPLES / "first-training/params.yaml").read_text()))


def test_the_model_learned_something_and_is_in_the_registry(training: dict[str, Any]) -> None:
    assert training["metrics"]["accuracy"] > 0.8, "spirals are told apart within a minute"
    assert training["steps"] > 10
    assert {"params.yaml", "points.csv.dvc"} <= set(training["files"])
    assert training["models"] == [["first-training", "READY"]]


def test_the_gpu_is_given_back(site: Site, training: dict[str, Any]) -> None:
    assert training["job"]["rayClusterName"]
    await_that(
        lambda: not site.kubectl("get", "pods", "-n", "ray", "-l", "ray.io/group=gpu", "-o", "name").strip(),
        300, "the end of the job's cluster",
    )  # fmt: skip
