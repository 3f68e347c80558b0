"""The first training as a Ray job: the data by DVC, a worker with a GPU, and what came of it told to MLflow.

The driver begins the run, so that a worker that takes over from one that died goes on with it. It runs on the head;
everything else does on the worker. Environment: MLFLOW_TRACKING_URI and its login, DVC_SYSTEM_CONFIG_DIR, GIT_COMMIT.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pynvml
import ray
import yaml
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

if TYPE_CHECKING:
    import torch

# Not resolved: files of a ConfigMap are links into a folder that every pod names otherwise.
HERE = Path(__file__).parent
DATASET = Path("/opt/dataset")
NAME = "first-training"


def pull(folder: Path) -> tuple[Path, str]:
    """Pull the data that points.csv.dvc names into a folder; returns its path and its MD5, which DVC compared."""
    shutil.copy(DATASET / "points.csv.dvc", folder)
    for words in (["init", "--quiet", "--no-scm"], ["pull", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True)
    [data] = yaml.safe_load((folder / "points.csv.dvc").read_text())["outs"]
    return folder / data["path"], data["md5"]


def devices() -> list[str]:
    """The UUIDs of this container's GPUs, or of its MIG devices where one is cut into such."""
    pynvml.nvmlInit()
    gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return [uuid for gpu in gpus for uuid in list(parts(gpu)) or [pynvml.nvmlDeviceGetUUID(gpu)]]


def parts(gpu: object) -> Iterator[str]:
    """The UUIDs of a GPU's MIG devices; none where it is whole."""
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):  # there may be fewer
            yield pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index))


def work(run: str) -> Mapping[str, str]:
    """Train on a worker's GPU, within a run that was begun."""
    import torch
    from train import read_params, read_points, train

    params, device = read_params(HERE / "params.yaml"), "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_id=run):
        path, digest = pull(Path(folder))
        workers = [mlflow.active_run().data.tags.get("workers", ""), socket.gethostname()]
        told = {
            "data.path": path.name, "data.md5": digest, "gpu.uuid": ",".join(devices()), "device": device,
            "workers": " ".join(filter(None, workers)), "git.commit": os.environ.get("GIT_COMMIT", ""),
        }  # fmt: skip
        mlflow.set_tags(told)
        mlflow.log_params(vars(params))
        mlflow.log_artifact(str(HERE / "params.yaml"))
        mlflow.log_artifact(str(DATASET / "points.csv.dvc"))
        learn, judge = read_points(path)
        model = train(
            params, learn, judge, device, lambda metrics, epoch: mlflow.log_metrics(dict(metrics), step=epoch)
        )
        example = judge.places[:2]
        mlflow.pytorch.log_model(
            model, name="model", registered_model_name=NAME, input_example=example.numpy(),
            signature=ModelSignature(tensors(example), tensors(model(example).detach())),
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
        )  # fmt: skip
        return told


def tensors(example: torch.Tensor) -> Schema:
    """What MLflow is to know of a model's tensors, of which there may be as many as one likes at once."""
    array = example.numpy()
    return Schema([TensorSpec(array.dtype, (-1, *array.shape[1:]))])


def main() -> None:
    """Begin a run, have it done, and say how it ended."""
    client, experiment = mlflow.MlflowClient(), mlflow.set_experiment(NAME)
    run = client.create_run(experiment.experiment_id, run_name=os.environ.get("RUN_NAME") or None).info.run_id
    print(f"run {run}", flush=True)
    ray.init()
    try:
        # tried again where its worker dies, and not where it fails
        print(ray.get(ray.remote(num_gpus=1, max_retries=3)(work).remote(run)))
    except Exception:
        client.set_terminated(run, "FAILED")
        raise


if __name__ == "__main__":
    main()
