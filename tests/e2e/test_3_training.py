"""Ray as outsiders meet it, and a training on it from its data to its model, whose worker dies on the way."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import yaml
from site_under_test import Report, Site, await_that
from training import EXAMPLES, kubectl_on_examples

LOCKED = yaml.safe_load((EXAMPLES / "dataset/points.csv.dvc").read_text())["outs"][0]
NODES = ("n2", "n3")
UUID = re.compile(r"GPU-[0-9a-f-]{36}")


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


@pytest.fixture(scope="module")
def training(site: Site, training_begun: Future[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What MLflow tells of a training whose first worker was killed when it had reported something."""
    yield training_begun.result(timeout=1200)
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
