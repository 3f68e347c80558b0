"""Services that are killed while people use them: what was acknowledged is kept, what was interrupted is done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import outside
import pytest
from site_under_test import Site

pytestmark = pytest.mark.soak

STEPS = 60
# Logs a metric step by step, and tells each step when the server has acknowledged it.
LOGS = f"""
import mlflow
mlflow.set_experiment("killed")
with mlflow.start_run():
    for step in range({STEPS}):
        mlflow.log_metric("step", step, step=step)
        print(step, flush=True)
"""
KEPT = """
import json, mlflow
client = mlflow.MlflowClient()
[run] = client.search_runs([client.get_experiment_by_name("killed").experiment_id], max_results=1)
history = client.get_metric_history(run.info.run_id, "step")
print(json.dumps([run.info.status, sorted(each.step for each in history)]))
"""


def kill(site: Site, namespace: str, selector: str) -> None:
    """End the pods of a service without notice."""
    site.kubectl("delete", "pod", "-n", namespace, "-l", selector, "--force", "--grace-period=0", timeout=120)


def test_a_run_goes_on_when_mlflow_and_then_its_database_are_killed(site: Site, python: Path, tmp_path: Path) -> None:
    process = outside.start(site, python, "-c", LOGS, folder=tmp_path)
    assert process.stdout is not None
    victims = {10: ("mlflow", "app.kubernetes.io/name=mlflow"), 35: ("postgresql", "cnpg.io/cluster=postgresql")}
    said = []
    for line in process.stdout:
        said.append(line)
        if line.strip().isdigit() and int(line) in victims:
            kill(site, *victims[int(line)])
    assert process.wait(timeout=60) == 0, "".join(said[-20:])
    status, steps = json.loads(outside.run(site, python, "-c", KEPT, folder=tmp_path))
    assert (status, sorted(set(steps))) == ("FINISHED", list(range(STEPS)))


def repository(site: Site, python: Path, folder: Path) -> None:
    """Make a folder one of DVC's, whose remote is the site's."""
    outside.run(site, python, "-m", "dvc", "init", "-q", "--no-scm", folder=folder)
    outside.run(site, python, "-m", "dvc", "config", "core.remote", "groundwork", folder=folder)


def test_a_push_that_is_cut_off_is_finished_by_the_next(site: Site, python: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "data").mkdir(parents=True)
    for number in range(200):
        (here / f"data/{number}").write_bytes(number.to_bytes(2, "big") * 100_000)
    repository(site, python, here)
    outside.run(site, python, "-m", "dvc", "add", "-q", "data", folder=here)
    push = outside.start(site, python, "-m", "dvc", "push", "-q", "-j", "1", folder=here)
    kill(site, "object-store", "app.kubernetes.io/name=versitygw")
    push.communicate(timeout=600)
    outside.run(site, python, "-m", "dvc", "push", "-q", folder=here)

    there.mkdir()
    repository(site, python, there)
    shutil.copy(here / "data.dvc", there)
    outside.run(site, python, "-m", "dvc", "pull", "-q", folder=there)
    files = {path.name: path.read_bytes() for path in (there / "data").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (here / "data").iterdir()}
