"""The first training of the examples, from its data to its run and its model; its first worker is killed on the way."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import outside
from site_under_test import ROOT, Site, await_that

EXAMPLES = ROOT / "examples"
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


def run(site: Site, python: Path, folder: Path) -> dict[str, Any]:
    """Push the data, start the RayJob, kill its first worker once a metric is there, and tell what came of it."""
    began = int(time.time() * 1000)
    shutil.copytree(EXAMPLES / "dataset", folder / "dataset")
    outside.run(site, python, "make.py", folder=folder / "dataset")
    for words in (["add", "-q", "points.csv"], ["push", "-q"]):
        outside.run(site, python, "-m", "dvc", *words, folder=folder / "dataset")
    kubectl_on_examples(site, "apply", "-k", "/root/examples/first-training")
    await_that(lambda: told(site, python, began, folder).get("steps"), 600, "a first metric in MLflow")
    site.kubectl("delete", "pods", "-n", "ray", "-l", "ray.io/group=gpu", "--now", timeout=120)
    await_that(lambda: job(site).get("jobDeploymentStatus") in ("Complete", "Failed"), 900, "the end of the RayJob")
    return {**told(site, python, began, folder), "job": job(site)}
