from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.doubles import BAD, Ask


def test_an_answer_names_labels_probabilities_and_the_model(ask: Ask) -> None:
    answer = ask("POST", "/predict", json={"texts": ["tiny", "a text that is long"]})
    assert answer.status_code == 200
    assert [one["label"] for one in answer.json()["predictions"]] == ["short", "long"]
    assert answer.json()["predictions"][0]["probabilities"] == pytest.approx({"short": 0.9, "long": 0.1})
    assert answer.json()["model"] == {
        "name": "m", "version": "1", "run_name": "r-1", "data_md5": "d", "git_commit": "c",
    }  # fmt: skip
    assert answer.headers["x-mlstack-model"] == "m/1"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_what_is_wrong(ask: Ask, name: str) -> None:
    body, status, told = BAD[name]
    answer = ask("POST", "/predict", content=body)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]
    assert len(answer.content) < 1000, "the input is not sent back"


def test_limits_are_inclusive(ask: Ask) -> None:
    assert ask("POST", "/predict", json={"texts": ["a" * 100] * 4}).status_code == 200


def test_the_schema_tells_the_limits(ask: Ask) -> None:
    schema = ask("GET", "/openapi.json").json()
    body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["texts"] == {
        "items": {"maxLength": 100, "minLength": 1, "type": "string"},
        "maxItems": 4, "minItems": 1, "title": "Texts", "type": "array",
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/predict", 405)])
def test_what_is_not_there_is_refused_as_json(ask: Ask, method: str, path: str, status: int) -> None:
    answer = ask(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_metrics_count_answers_by_path_and_status(ask: Ask) -> None:
    ask("POST", "/predict", json={"texts": ["a"]})
    ask("POST", "/predict", content=b"")
    ask("GET", "/made/up/7")
    told = ask("GET", "/metrics").text
    for line in (
        'mlstack_requests_total{path="/predict",replica="one",status="200"} 1.0',
        'mlstack_requests_total{path="/predict",replica="one",status="400"} 1.0',
        'mlstack_requests_total{path="other",replica="one",status="404"} 1.0',
        'mlstack_request_seconds_count{path="/predict",replica="one"} 2.0',
        'mlstack_serving{replica="one",version="1"} 1.0',
    ):
        assert line in told


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text() | st.just("texts"), inner, max_size=3),
    max_leaves=20,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    ANYTHING.map(lambda given: json.dumps(given).encode()),
    st.lists(ANYTHING, max_size=6).map(lambda given: json.dumps({"texts": given}).encode()),
    st.lists(st.text(min_size=1), min_size=1, max_size=4).map(lambda given: json.dumps({"texts": given}).encode()),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_makes_a_server_error(ask: Ask, body: bytes) -> None:
    answer = ask("POST", "/predict", content=body)
    assert answer.status_code in (200, 400, 422)
    assert ("predictions" if answer.status_code == 200 else "error") in answer.json()
