"""The served model by Ray Serve and HTTP: one deployment for all of these, which run in their order."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstack import config, platform, registry, tracking
from mlstack.errors import UsageError
from mlstack.serving import deploy
from mlstack.serving.keeper import Keeper
from tests.serving import models
from tests.serving.doubles import BAD, LIMITS
from tests.serving.load import Load

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Using extra keyword")]


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def make_version(given: config.Config, folder: Path, strength: float) -> registry.Version:
    models.make(folder, strength)
    with tracking.begin(given, folder.name) as run:
        run.artifact(folder, "model")
    return registry.register(given, folder.name)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[config.Config]:
    """Version 1 is served; version 2 is in the registry. The state's path is longer than a socket's may be."""
    folder = tmp_path_factory.mktemp("a-long-name-" * 10)
    limits = LIMITS.model_dump() | {"port": free_port(), "follow_seconds": 0.2}
    given = config.parse({"model": {"name": "tiny"}, "serving": limits, "platform": {"state": str(folder / "state")}})
    before = dict(os.environ)
    platform.connect(given)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/state/mlflow.db"
    first = make_version(given, folder / "one", 1.0)
    make_version(given, folder / "two", 100.0)
    registry.promote(given, first, None)
    try:
        assert deploy.deploy(given).fresh
        yield given
    finally:
        deploy.stop(given)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def client(served: config.Config) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{served.serving.port}", timeout=30) as found:
        yield found


def test_an_answer_names_the_version_and_its_data(client: httpx.Client) -> None:
    answer = client.post("/predict", json={"texts": ["wheat", "barrels"]})
    assert [one["label"] for one in answer.json()["predictions"]] == ["grain", "crude"]
    assert answer.json()["model"] == {
        "name": "tiny", "version": "1", "run_name": "one", "data_md5": "d" * 32, "git_commit": "c" * 40,
    }  # fmt: skip
    assert answer.headers["x-mlstack-model"] == "tiny/1"


def test_a_second_deploy_changes_nothing(served: config.Config) -> None:
    assert not deploy.deploy(served).fresh


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_and_the_next_is_served(client: httpx.Client, name: str) -> None:
    body, status, told = BAD[name]
    answer = client.post("/predict", content=body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True)
    assert client.post("/predict", json={"texts": ["wheat"]}).status_code == 200


@pytest.mark.parametrize("header", ["x-request-id", "serve_multiplexed_model_id", "x-session-id", "content-type"])
def test_a_header_in_another_encoding_is_refused(client: httpx.Client, header: str) -> None:
    answer = client.post("/predict", json={"texts": ["wheat"]}, headers=[(header.encode(), b"\xff")])
    assert (answer.status_code, answer.json()) == (400, {"error": "a header is not in UTF-8"})


def test_a_client_that_goes_away_leaves_the_replica_alone(served: config.Config, client: httpx.Client) -> None:
    before = client.get("/health").json()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.serving.port)) as door:
            door.sendall(b'POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n{"texts": [')
    assert client.post("/predict", json={"texts": ["wheat"]}).status_code == 200
    assert client.get("/health").json() == before


def as_told(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows, as far as ours goes."""
    if schema["type"] == "string":
        return st.text(min_size=schema["minLength"], max_size=schema["maxLength"])
    if schema["type"] == "array":
        return st.lists(as_told(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
    return st.fixed_dictionaries({name: as_told(inner) for name, inner in schema["properties"].items()})


WRONG = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(""),
    lambda inner: st.lists(inner, min_size=5, max_size=9) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


def test_what_the_schema_allows_is_answered_and_nothing_else(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    schema = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    ways = st.sampled_from([(way.upper(), path) for path in paths for way in ("get", "post", "put", "delete")])

    @settings(max_examples=60, deadline=None)
    @given(allowed=as_told(schema), wrong=WRONG, noise=st.binary(max_size=200), way=ways)
    def fuzz(allowed: Any, wrong: Any, noise: bytes, way: tuple[str, str]) -> None:
        answer = client.post("/predict", json=allowed)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == len(allowed["texts"])
        for body in (wrong, {"texts": wrong}, allowed | {"other": wrong}):
            assert client.post("/predict", content=json.dumps(body)).status_code in (400, 422)
        assert client.request(*way, content=noise, params={"q": noise.hex()}).status_code in (200, 400, 405, 422)

    fuzz()


def test_promote_and_rollback_lose_no_request(served: config.Config) -> None:
    first, second = registry.version(served, "1"), registry.version(served, "2")
    with Load(served.serving.port) as load:
        load.until_version("1")
        for _ in range(3):
            registry.promote(served, second, first)
            load.until_version("2")
            registry.rollback(served)
            load.until_version("1")
    assert load.failed == []
    changes = [(a, b) for (_, a), (_, b) in zip(load.answers, load.answers[1:], strict=False) if a != b]
    assert ("1", "2") in changes
    assert ("2", "1") in changes


def test_changed_settings_lose_no_request(served: config.Config, client: httpx.Client) -> None:
    changed = config.with_settings(served, {"serving.max_texts": 2})
    with Load(served.serving.port) as load:
        load.until_version("1")
        before = len(load.answers)
        assert deploy.deploy(changed).fresh
        load.until(lambda: client.post("/predict", json={"texts": ["a"] * 3}).status_code == 422)
    assert load.failed == []
    assert len(load.answers) > before


def test_metrics_tell_of_this_all(client: httpx.Client) -> None:
    told = client.get("/metrics").text
    assert 'path="/predict"' in told
    assert 'status="5' not in told


def test_a_port_that_is_taken_is_refused(served: config.Config, tmp_path: Path) -> None:
    taken = config.with_settings(served, {"platform.state": str(tmp_path)})
    with pytest.raises(UsageError, match="cannot be listened at"):
        deploy._check_port(taken, Keeper(tmp_path / "ray"))


def test_the_token_is_for_its_owner_alone(served: config.Config) -> None:
    folder = served.platform.state / "ray"
    assert (folder / "token").stat().st_mode & 0o777 == 0o600


def test_stop_ends_it_all(served: config.Config) -> None:
    assert deploy.stop(served)
    assert not deploy.stop(served)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{served.serving.port}/health")
