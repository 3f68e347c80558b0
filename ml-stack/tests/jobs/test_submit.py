from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstack import cli
from mlstack.config import Config, parse
from mlstack.errors import MlstackError, UsageError
from mlstack.jobs import places, project, rayjob, record
from mlstack.jobs.local import Local
from mlstack.jobs.ray_jobs import RayJobs
from mlstack.verbs import logs, submit

EXAMPLE = Path(__file__).parents[3] / "examples" / "first-training" / "rayjob.yaml"
ROLE = Path(__file__).parents[3] / "roles" / "ray" / "defaults" / "main.yml"
WORDS = ("train", "--set", "training.epochs=1")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """An embedded project, in whose folder the test is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_COMMIT", "c0ffee")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chats.dvc").write_text("outs:\n- md5: 0123.dir\n")
    return parse({"data": {"folder": "data/chats"}, "model": {"name": "chats"}})


def started(config: Config, program: str) -> tuple[record.Record, Path]:
    """A job of this machine that runs a program of Python's."""

    class Program(Local):
        def start(self, _name: str, _words: tuple[str, ...], folder: Path) -> int:
            return self.run(["-c", program], folder)

    made = record.submit(config, "local", WORDS, Program(config))
    return record.find(config, made.name)


def followed(place: record.Place, job: record.Record, folder: Path) -> tuple[str, str | None]:
    said: list[str] = []
    state = record.watch(place, job, folder, said.append)
    return "".join(said), state


@pytest.mark.parametrize(("status", "state"), [(0, "succeeded"), (3, "failed")])
def test_a_job_of_this_machine_is_followed_to_its_end(config: Config, status: int, state: str) -> None:
    job, folder = started(
        config, f"import sys; print('one', flush=True); print('two', file=sys.stderr); exit({status})"
    )
    assert followed(Local(config), job, folder) == ("one\ntwo\n", state)


def test_a_job_that_is_killed_is_stopped_and_says_what_it_said(config: Config) -> None:
    job, folder = started(config, "import time; print('begun', flush=True); time.sleep(60)")
    lines = Local(config).follow(job, folder)
    assert next(lines) == "begun\n"
    os.killpg(job.process, signal.SIGKILL)
    assert list(lines) == []
    assert Local(config).state(job, folder) == "stopped"


def test_a_job_is_told_to_end_as_by_ctrl_c(config: Config) -> None:
    job, folder = started(
        config, "import signal, time; signal.signal(15, lambda *_: exit(130)); print(1, flush=True); time.sleep(60)"
    )
    next(Local(config).follow(job, folder))
    Local(config).stop(job, folder)
    assert followed(Local(config), job, folder)[1] in ("failed", "stopped")


def test_who_stops_watching_leaves_the_job_alone(config: Config) -> None:
    job, folder = started(config, "import time; print('begun', flush=True); time.sleep(2); print('ended')")

    def interrupt(_text: str) -> None:
        raise KeyboardInterrupt

    assert record.watch(Local(config), job, folder, interrupt) is None
    assert followed(Local(config), job, folder) == ("begun\nended\n", "succeeded")


def test_ctrl_c_at_the_command_ends_the_watching_alone(config: Config) -> None:
    job, folder = started(config, "import time; print('begun', flush=True); time.sleep(6); print('ended')")
    Path("params.yaml").write_text(project.params(config))
    watching = subprocess.Popen(
        [sys.executable, "-m", "mlstack", "logs", job.name], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )  # fmt: skip
    assert watching.stdout
    assert watching.stdout.readline() == "begun\n"
    watching.send_signal(signal.SIGINT)
    assert f"job {job.name} goes on" in watching.communicate()[0]
    assert watching.returncode == 0
    assert followed(Local(config), job, folder)[1] == "succeeded"


def test_the_newest_job_is_meant_where_none_is_named(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    started(config, "print('old')")
    job, _ = started(config, "print('new')")
    result = logs.follow(config, "", as_json=False)
    assert (result.ok, result.data) == (True, {"job": job.name, "state": "succeeded"})
    assert capsys.readouterr().out == "new\n"


def test_a_job_that_nobody_knows_is_refused_with_those_that_are_known(config: Config) -> None:
    job, _ = started(config, "")
    with pytest.raises(UsageError) as caught:
        record.find(config, "train-0")
    assert job.name in caught.value.remedy


def test_a_job_that_could_not_begin_is_none(config: Config) -> None:
    class Full(Local):
        def start(self, _name: str, _words: tuple[str, ...], _folder: Path) -> int:
            raise MlstackError("no room", "Make some.")

    with pytest.raises(MlstackError, match="no room"):
        record.submit(config, "local", WORDS, Full(config))
    with pytest.raises(UsageError, match="there is no job yet"):
        record.find(config, "")


def test_a_job_has_the_parameters_of_its_begin(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Local, "run", lambda _self, command, _folder: len(command))
    made = record.submit(config, "local", WORDS, Local(config))
    _, folder = record.find(config, made.name)
    assert parse(yaml.safe_load((folder / "params.yaml").read_text())) == config


@pytest.mark.parametrize("words", [[], ["submit"], ["deploy"], ["trian"]])
def test_what_is_no_job_is_refused(config: Config, words: list[str]) -> None:
    options = type("", (), {"stop": None, "words": words, "to": None, "print": False})
    with pytest.raises(UsageError, match="is no job"):
        submit.run(options(), config)


def test_parameters_of_a_job_are_those_of_submit(config: Config) -> None:
    options = cli.parser().parse_args(["submit", "--to", "local", "train", "--params", "other.yaml"])
    with pytest.raises(UsageError, match="those of `submit`"):
        submit.run(options, config)


def documents(config: Config, words: tuple[str, ...] = WORDS) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    claim, given, job = yaml.safe_load_all(yaml.safe_dump_all(rayjob.manifest(config, "train-1", words)))
    return claim, given, job


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [job["spec"]["submitterPodTemplate"]["spec"], *(group["template"]["spec"] for group in groups)]


def test_a_rayjob_is_made_as_the_first_trainings(config: Config) -> None:
    """What the platform demands of a pod, and how it is told of MLflow and DVC, is in one example and tested there."""
    _, _, job = documents(config)
    example = yaml.safe_load(EXAMPLE.read_text())
    for ours, theirs in zip(pods(job), pods(example), strict=True):
        for key in ("securityContext", "automountServiceAccountToken", "tolerations"):
            assert ours.get(key) == theirs.get(key)
        [mine], [other] = ours["containers"], theirs["containers"]
        assert mine["securityContext"] == other["securityContext"]
        assert mine["name"] == other["name"]
        secret = [one for one in other["env"] if "valueFrom" in one]
        assert [one for one in mine["env"] if "valueFrom" in one] == secret
        names = {volume["name"] for volume in ours["volumes"]}
        assert {mount["name"] for mount in mine["volumeMounts"]} == names
        by_secret = [volume for volume in theirs["volumes"] if "secret" in volume]
        assert [volume for volume in ours["volumes"] if "secret" in volume] == by_secret
    for key in ("authOptions", "rayVersion"):
        assert job["spec"]["rayClusterSpec"][key] == example["spec"]["rayClusterSpec"][key]
    assert set(example["spec"]) - set(job["spec"]) == {"activeDeadlineSeconds"}  # a training takes as long as it takes


def test_a_rayjob_runs_the_clusters_ray(config: Config) -> None:
    _, _, job = documents(config)
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == yaml.safe_load(ROLE.read_text())["ray_version"]


def test_a_rayjob_finds_the_projects_files_where_they_were(config: Config) -> None:
    claim, given, job = documents(config)
    [volume] = [one for one in pods(job)[1]["volumes"] if "configMap" in one]
    assert volume["configMap"]["name"] == given["metadata"]["name"] == job["metadata"]["name"] == "train-1"
    found = {item["path"]: given["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert set(found) == {"params.yaml", "data/chats.dvc", ".dvc/config"}
    assert "no_scm = true" in found[".dvc/config"]
    platform = parse(yaml.safe_load(found["params.yaml"])).platform
    assert (platform.artifacts, str(platform.state)) == (None, "state")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert {one["value"] for one in pods(job)[1]["containers"][0]["env"] if one["name"] == "GIT_COMMIT"} == {"c0ffee"}


def test_a_rayjob_fetches_the_data_and_runs_the_verb(config: Config) -> None:
    _, _, job = documents(config)
    assert job["spec"]["entrypoint"].startswith("sh -c 'mkdir -p /project/chats && cd /project/chats && ")
    assert (
        "python -m mlstack data pull --params params.yaml && python -m mlstack train --set" in job["spec"]["entrypoint"]
    )


@pytest.mark.parametrize(("words", "count"), [(("train",), 2), (("tune",), 3), (("evaluate",), 0)])
def test_a_rayjob_has_as_many_gpus_as_work(config: Config, words: tuple[str, ...], count: int) -> None:
    wanted = config.model_dump() | {"training": {"workers": 2}, "tune": {"concurrent": 3}}
    _, _, job = documents(parse(wanted), words)
    assert job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"] == count


def test_data_outside_the_project_is_refused() -> None:
    with pytest.raises(UsageError, match="outside the project"):
        project.files(parse({"data": {"folder": "/elsewhere"}}))


KUBECTL = """#!/bin/sh
echo "$KUBECONFIG $*" >>calls
case "$2" in
  apply) cat >applied ;;
  logs) echo one; echo two ;;
  get) printf "${STATE}" ;;
  wait) [ -z "$FAULT" ] || { echo "$FAULT" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def cluster(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A cluster whose kubectl notes what it was asked."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").write_text(KUBECTL)
    (tmp_path / "bin" / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (artifacts(tmp_path / "artifacts", "http://ray", "t") / "kubeconfig").touch()
    given = {"kind": "cluster", "artifacts": str(tmp_path / "artifacts"), "namespace": "lab"}
    return parse(config.model_dump() | {"platform": given})


def test_a_rayjob_is_applied_followed_and_removed(
    cluster: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE", "SUCCEEDED")
    place = places.make(cluster, "rayjob")
    job, folder = record.find(cluster, record.submit(cluster, "rayjob", WORDS, place).name)
    assert followed(place, job, folder) == ("one\ntwo\n", "succeeded")
    place.stop(job, folder)
    assert [one["kind"] for one in yaml.safe_load_all(Path("applied").read_text())][-1] == "RayJob"
    calls = Path("calls").read_text().splitlines()
    assert all(call.startswith(f"{tmp_path}/artifacts/kubeconfig --namespace=lab ") for call in calls)
    assert f"delete rayjobs.ray.io/{job.name} configmap/{job.name}" in calls[-1]


@pytest.mark.parametrize(("said", "state"), [("", "running"), ("FAILED", "failed"), ("RUNNING", "running")])
def test_a_rayjobs_state_is_kuberays(cluster: Config, monkeypatch: pytest.MonkeyPatch, said: str, state: str) -> None:
    monkeypatch.setenv("STATE", said)
    assert rayjob.RayJob(cluster).state(record.Record("train-1", "rayjob", WORDS), Path()) == state


def test_what_the_cluster_refuses_is_said(cluster: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "error: the server says no")
    lines = rayjob.RayJob(cluster).follow(record.Record("train-1", "rayjob", WORDS), Path())
    with pytest.raises(MlstackError, match="the server says no"):
        next(lines)


def artifacts(folder: Path, url: str, token: str) -> Path:
    """What site.yml leaves, of which Ray needs the login."""
    (folder / "dvc").mkdir(parents=True)
    (folder / "ray.yml").write_text(yaml.safe_dump({"url": url, "token": token}))
    (folder / "mlflow.yml").write_text("{url: https://mlflow, username: u, password: hidden}")
    (folder / "ca.crt").write_text("a certificate")
    (folder / "dvc" / "config").write_text(
        f"['remote \"groundwork\"']\n    credentialpath = {folder}/dvc/credentials\n"
    )
    return folder


def test_the_login_goes_to_ray_as_files_and_nowhere_else(config: Config, tmp_path: Path) -> None:
    given = {"kind": "cluster", "artifacts": str(artifacts(tmp_path / "artifacts", "http://ray", "t"))}
    (tmp_path / "staged").mkdir()
    config = parse(config.model_dump() | {"platform": given})
    entrypoint = project.stage(config, tmp_path / "staged", WORDS)
    assert "hidden" not in entrypoint
    assert "hidden" not in json.dumps(project.environment())
    staged = tmp_path / "staged"
    assert "hidden" in (staged / "artifacts" / "mlflow.yml").read_text()
    assert not (staged / "artifacts" / "ray.yml").exists()
    subprocess.run(["sh", "-c", entrypoint.partition(" && ")[0]], cwd=staged, check=True)
    assert (
        f"credentialpath = {staged}/artifacts/dvc/credentials" in (staged / "artifacts" / "dvc" / "config").read_text()
    )


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, str]]:
    """A head of Ray's that asks for a token: its address and the token. Its folder's path has to be a short one."""
    folder = tempfile.mkdtemp(prefix="ray-")
    token = secrets.token_hex(32)
    names = (
        "port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
        "metrics-export-port", "runtime-env-agent-port",
    )  # fmt: skip
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    words = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=1",
        "--object-store-memory=100000000", "--disable-usage-stats",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_TMPDIR": folder}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        _await(f"{address}/api/gcs_healthz", process)
        agent = f"http://127.0.0.1:{ports['dashboard-agent-listen-port']}"  # it starts jobs
        _await(f"{agent}/api/local_raylet_healthz", process)
        yield address, token
    finally:
        process.terminate()  # --block: it ends what it started
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_job_of_rays_is_followed_and_stopped(
    config: Config, tmp_path: Path, head: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage(_config: Config, folder: Path, _words: tuple[str, ...]) -> str:
        (folder / "said").write_text("one\n")
        return "cat said && echo $GIT_COMMIT ${RAY_ADDRESS:+joins}"

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    given = {"kind": "cluster", "artifacts": str(artifacts(tmp_path / "artifacts", *head))}
    config = parse(config.model_dump() | {"platform": given})
    monkeypatch.setattr(project, "stage", stage)
    place = places.make(config, "ray")
    made = record.submit(config, "ray", WORDS, place)
    job, folder = record.find(config, made.name)
    text, state = followed(place, job, folder)
    assert state == "succeeded"
    assert {"one", "c0ffee joins"} <= set(text.splitlines())  # Ray's own lines may stand between them

    monkeypatch.setattr(project, "stage", lambda _config, _folder, _words: "echo begun && sleep 600")
    second, _ = record.find(config, record.submit(config, "ray", WORDS, place).name)
    lines = place.follow(second, folder)
    assert "begun" in next(line for line in lines if "begun" in line)
    place.stop(second, folder)
    list(lines)
    assert place.state(second, folder) == "stopped"


@pytest.mark.slow
def test_a_wrong_token_is_named(
    config: Config, tmp_path: Path, head: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    given = {"kind": "cluster", "artifacts": str(artifacts(tmp_path / "artifacts", head[0], "wrong" * 8))}
    with pytest.raises(UsageError, match="refuses the token"):
        RayJobs(parse(config.model_dump() | {"platform": given}))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # our own
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer; ray start: {process.poll()}")
