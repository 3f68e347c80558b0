"""MLflow and the DVC remote as outsiders meet them."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest
import yaml
from site_under_test import Report, Site

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=100"


def ask(
    site: Site, host: str, path: str, login: tuple[str, str] | None = None, authority: bool = True
) -> tuple[int, Any]:
    """The status and the content of a request from this machine."""
    address = site.lab.shell(host, "hostname -I").split()[0]
    trusted = str(site.artifacts / "ca.crt") if authority else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trusted)),
    )
    request = urllib.request.Request(f"https://{address}:30500{path}")
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(login).encode()).decode())
    try:
        with opener.open(request, timeout=30) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def login_of(site: Site, namespace: str) -> tuple[str, str]:
    """Whom pods of a namespace log in as."""
    data = json.loads(site.kubectl("get", "secret", "-n", namespace, "mlflow-client", "-o", "json"))["data"]
    name, password = (base64.b64decode(data[f"MLFLOW_TRACKING_{key}"]).decode() for key in ("USERNAME", "PASSWORD"))
    return name, password


def test_the_report_tells_that_runs_and_data_are_kept(proved: Report) -> None:
    assert {"mlflow.version_is_wanted", "mlflow.refuses_strangers", "mlflow.keeps_runs"} <= set(proved.proofs)
    assert "dvc.remote_keeps_data" in proved.proofs
    assert {"MLflow", "DVC remote groundwork"} <= set(proved.endpoints)


@pytest.mark.parametrize("host", ["n1", "n2", "n3"])
def test_every_node_is_an_entrance_that_asks_for_a_login(site: Site, host: str) -> None:
    assert ask(site, host, "/health")[0] == 200
    assert {ask(site, host, path)[0] for path in ("/", SEARCH, "/version", "/metrics", "/graphql")} == {401}


def test_who_does_not_know_the_authority_is_warned(site: Site) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(site, "n1", SEARCH, authority=False)


def test_people_and_pods_see_what_is_theirs(site: Site) -> None:
    """The administrator everything, the proof's experiment too; the user of Ray's pods what these made."""
    exported = yaml.safe_load((site.artifacts / "mlflow.yml").read_text())
    status, everything = ask(site, "n2", SEARCH, (exported["username"], exported["password"]))
    assert status == 200
    assert "groundwork-verify" in {found["name"] for found in json.loads(everything)["experiments"]}
    status, theirs = ask(site, "n2", SEARCH, login_of(site, "ray"))
    assert status == 200
    assert "groundwork-verify" not in {found["name"] for found in json.loads(theirs).get("experiments", [])}


def test_passwords_and_keys_are_their_owners_alone(site: Site) -> None:
    files = [site.artifacts / "mlflow.yml", *(site.artifacts / "dvc").iterdir()]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert {file.name for file in files} == {"mlflow.yml", "config", "credentials", "ca.crt"}
