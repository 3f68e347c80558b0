"""A server's certificate is the authority's, names the server, and is made again in time."""

from __future__ import annotations

import base64

import pytest
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.certificates import Pair
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.certificate import AUTHORITY, Wanted, apply, observe, plan

from tests.unit.module_utils.kubernetes.secrets_server import Server

NAMES = ("prometheus.monitoring.svc", "10.77.0.11", "fd00::2")
WANTED = Wanted("monitoring", "prometheus-tls", NAMES, "CA of lab")
AUTHORITY_PATH = f"/api/v1/namespaces/{AUTHORITY[0]}/secrets/{AUTHORITY[1]}"
PATH = "/api/v1/namespaces/monitoring/secrets/prometheus-tls"


@pytest.fixture
def server() -> Server:
    return Server()


def run(server: Server, wanted: Wanted = WANTED) -> list[str]:
    found = observe(server, wanted)
    planned = plan(found, wanted)
    if planned.actions:
        apply(server, wanted, found, planned)
    return planned.actions


def pair(server: Server, path: str = PATH) -> Pair:
    data = server.secrets[path]["data"]
    return Pair(*(base64.b64decode(data[key]).decode() for key in ("tls.crt", "tls.key")))


def put(server: Server, path: str, **texts: str) -> None:
    for key, text in texts.items():
        server.secrets[path]["data"][key.replace("_", ".")] = base64.b64encode(text.encode()).decode()


def test_both_are_made_once_and_readers_get_the_authority(server: Server) -> None:
    assert run(server) == ["make the authority: it is not there", "sign: it is not there"]
    data = server.secrets[PATH]["data"]
    assert data["ca.crt"] == server.secrets[AUTHORITY_PATH]["data"]["tls.crt"]
    assert run(server) == []


def test_another_server_has_the_same_authority_and_a_key_of_its_own(server: Server) -> None:
    run(server)
    assert run(server, Wanted("mlflow", "mlflow-tls", ["mlflow.mlflow.svc"], "")) == ["sign: it is not there"]
    assert pair(server).key != pair(server, "/api/v1/namespaces/mlflow/secrets/mlflow-tls").key


def test_a_new_name_has_it_made_again_and_one_less_does_not(server: Server) -> None:
    run(server)
    more = Wanted("monitoring", "prometheus-tls", [*NAMES, "10.77.0.12", "metrics.example"], "")
    assert run(server, more) == ["sign: it does not name 10.77.0.12, metrics.example"]
    assert run(server, more) == []
    assert run(server) == []


def test_another_authority_has_it_made_again(server: Server) -> None:
    run(server)
    other = certificates.make_authority("the site's own")
    put(server, AUTHORITY_PATH, tls_crt=other.certificate, tls_key=other.key)
    assert run(server) == ["sign: the authority did not sign it, or it has ended"]
    assert run(server) == []


def test_a_key_that_is_not_its_own_has_it_made_again(server: Server) -> None:
    run(server)
    put(server, PATH, tls_key=pair(server, AUTHORITY_PATH).key)
    assert run(server) == ["sign: the key is not the certificate's"]
    assert run(server) == []


@pytest.mark.parametrize(("days", "reason"), [(59, "ends within 60 days"), (0, "it has ended")])
def test_one_that_ends_soon_is_made_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, days: int, reason: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "SERVER_DAYS", days)
        run(server)
    assert reason in run(server)[0]
    assert run(server) == []


def test_an_authority_without_its_key_serves_until_something_must_be_signed(server: Server) -> None:
    run(server)
    put(server, AUTHORITY_PATH, tls_key="")
    assert run(server) == []
    with pytest.raises(GroundworkError, match="key is not in the cluster"):
        run(server, Wanted("monitoring", "prometheus-tls", ["another.example"], ""))


def test_a_name_that_is_none_is_refused(server: Server) -> None:
    with pytest.raises(GroundworkError, match="names no server"):
        run(server, Wanted("monitoring", "prometheus-tls", ["no,name:at all"], "CA"))


def test_keys_are_not_shown() -> None:
    assert "hidden" not in repr(Pair("crt", "hidden"))
