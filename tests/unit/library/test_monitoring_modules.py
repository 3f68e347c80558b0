"""The modules of role monitoring, as Ansible runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import ok
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError

from tests.unit.library.conftest import Module

Load = Callable[[str], Module]
SECRET: dict[str, Any] = {"namespace": "monitoring", "name": "prometheus-web", "username": "groundwork"}


class Empty:
    """A cluster with nothing in it; it remembers what is made."""

    def __init__(self, *_arguments: object) -> None:
        self.made: list[dict[str, Any]] = []

    def get(self, _path: str, **_query: str) -> dict[str, Any]:
        raise KubernetesError("not found", "See the message.", 404)

    def create(self, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.made.append(body)
        return body


@pytest.fixture
def cluster() -> Empty:
    return Empty()


def test_a_password_is_made(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_basic_auth")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(**SECRET)
    assert (found["changed"], found["actions"]) == (True, ["create: it is not there"])
    assert [body["stringData"]["password"] for body in cluster.made] == [found["password"]]


def test_check_mode_tells_the_truth_and_makes_none(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_basic_auth")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(check=True, **SECRET)
    assert (found["changed"], found["password"], cluster.made) == (True, "", [])


def test_a_password_that_is_given_is_not_returned(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_basic_auth")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    given = "out of Vault"
    found = module.run(**SECRET, password=given)
    assert cluster.made[0]["stringData"]["password"] == given
    assert given not in str(found)


def test_without_prometheus_the_verdict_is_a_check(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("prometheus_verify")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(nodes=["n1"], gpus={})
    assert (found["changed"], found["version"]) == (False, "")
    assert [check["status"] for check in found["checks"]] == ["failed", *["skipped"] * 6]


def test_the_version_is_told_beside_the_checks(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("prometheus_verify")
    monkeypatch.setattr(module.code, "Client", Empty)
    monkeypatch.setattr(module.code, "find", lambda *_: None)
    monkeypatch.setattr(module.code, "verify", lambda *_: [ok("monitoring.answers", "Prometheus 3.13.2")])
    assert module.run(nodes=[], gpus={})["version"] == "3.13.2"


CERTIFICATE: dict[str, Any] = {
    "namespace": "monitoring",
    "name": "prometheus-tls",
    "names": ["prometheus.monitoring.svc"],
}


def test_a_certificate_is_made_and_its_key_is_not_returned(
    load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("kubernetes_certificate")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(**CERTIFICATE)
    assert found["actions"] == ["make the authority: it is not there", "sign: it is not there"]
    assert [body["metadata"]["name"] for body in cluster.made] == ["site-ca", "prometheus-tls"]
    assert found["authority"] == cluster.made[1]["stringData"]["ca.crt"]
    assert "PRIVATE KEY" not in str(found)


def test_check_mode_makes_no_certificate(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_certificate")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(check=True, **CERTIFICATE)
    assert (found["changed"], found["authority"], cluster.made) == (True, "", [])
