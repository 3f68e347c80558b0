"""The object store and PostgreSQL as outsiders meet them, and that no run tells their secrets."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request

import pytest
from site_under_test import Lab, Site

NAMESPACES = ("object-store", "postgresql", "mlflow", "dvc", "ray")
PUBLIC = {"endpoint", "region", "bucket", "access_key", "username", "ca.crt", "tls.crt", "host", "port", "database",
          "user", "dbname", "namespace", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "AWS_ACCESS_KEY_ID",
          "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "config"}  # fmt: skip


def secrets(site: Site) -> dict[str, str]:
    """Every text of our Secrets that nobody is to see, by where it is."""
    found = {}
    for namespace in NAMESPACES:
        for secret in json.loads(site.kubectl("get", "secrets", "-n", namespace, "-o", "json"))["items"]:
            for key, value in secret["data"].items():
                if key not in PUBLIC:
                    found[f"{secret['metadata']['name']}/{key}"] = base64.b64decode(value).decode(errors="replace")
    return found


def ask(site: Site, host: str, path: str, authority: bool = True) -> int:
    """The status of a request from this machine, which has no key."""
    address = site.lab.shell(host, "hostname -I").split()[0]
    trusted = str(site.artifacts / "ca.crt") if authority else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trusted)),
    )
    try:
        with opener.open(f"https://{address}:30900{path}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_report_tells_that_objects_and_rows_are_kept(site: Site) -> None:
    found = {check["name"] for check in site.checks("ok")}
    assert {"object_store.keeps_objects", "object_store.refuses_strangers"} <= found
    assert {"postgresql.instance_is_ready", "postgresql.databases_are_there", "postgresql.keeps_rows"} <= found


@pytest.mark.parametrize("host", ["n1", "n2", "n3"])
def test_every_node_is_an_entrance_whose_certificate_is_for_it(site: Site, host: str) -> None:
    assert ask(site, host, "/_/health") == 200
    assert {ask(site, host, path) for path in ("/", "/postgresql", "/list-users")} <= {400, 403}


def test_who_does_not_know_the_authority_is_warned(site: Site) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(site, "n1", "/", authority=False)


@pytest.mark.parametrize("playbook", ["playbooks/storage.yml", "playbooks/platform.yml", "playbooks/verify.yml"])
def test_no_run_tells_a_secret(site: Site, playbook: str) -> None:
    known = secrets(site)
    assert {
        "object-store-root/secret_key",
        "login-backup/password",
        "mlflow-admin/password",
        "dvc-client/credentials",
        "ray-token/auth_token",
    } <= set(known)
    run = site.play("-vvv", "--diff", playbook=playbook)
    assert run.status == 0, run.tail
    assert [where for where, text in known.items() if text in run.output] == []


def test_a_dump_is_made_and_put_back(site: Site) -> None:
    """Of the database that proofs write to: its row is the dump's again after it was changed."""
    run = site.play(playbook="playbooks/operations/backup.yml")
    assert run.status == 0, run.tail
    database = ["exec", "-n", "postgresql", "postgresql-1", "-c", "postgres", "--", "psql", "-At", "groundwork_verify"]
    before = site.kubectl(*database, "-c", "SELECT word FROM proof")
    site.kubectl(*database, "-c", "UPDATE proof SET word = 'changed'")
    consumer = ("-e", "postgresql_restore_database=groundwork-verify", "-e", "postgresql_allow_disruption=true")
    run = site.play(*consumer, playbook="playbooks/operations/restore.yml")
    assert run.status == 0, run.tail
    assert site.kubectl(*database, "-c", "SELECT word FROM proof") == before


@pytest.mark.parametrize(
    ("variables", "check"),
    [
        (("object_store_endpoint=https://127.0.0.1:9", "object_store_access_key=a"), "object_store.answers"),
        (("object_store_enabled=false",), "postgresql.has_a_place_for_dumps"),
        (("shared_storage_enabled=false",), "postgresql.has_a_volume"),
        (("postgresql_host=127.0.0.1", "postgresql_port=9"), "postgresql.answers"),
        (("postgresql_enabled=false",), "mlflow.has_a_database"),
        (("mlflow_node_port=30900",), "mlflow.entrance_port_is_free"),
    ],
)
def test_what_would_not_work_is_refused_before_any_change(site: Site, variables: tuple[str, ...], check: str) -> None:
    run = site.play(*(word for variable in variables for word in ("-e", variable)))
    assert run.status != 0, run.tail
    assert check in run.output, run.tail
    assert set(run.changed.values()) <= {0}, run.tail


def test_a_wrong_key_is_refused_before_any_change(site: Site, lab: Lab) -> None:
    """The lab's own gateway stands for a store that the site has."""
    address = lab.shell("n1", "hostname -I").split()[0]
    given = {
        "object_store_endpoint": f"https://{address}:30900",
        "object_store_ca_certificate": (site.artifacts / "ca.crt").read_text(),
        "object_store_access_key": "groundwork",
        "object_store_secret_key": "wrong",
    }
    run = site.play("-e", json.dumps(given))
    assert run.status != 0, run.tail
    assert "object_store.key_is_right" in run.output, run.tail
    assert set(run.changed.values()) <= {0}, run.tail
