"""No run and no log tells a secret, nor does a file that others can read; one that is gone is made again."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from collections.abc import Iterator

import prometheus
import pytest
from site_under_test import Site

NAMESPACES = ("monitoring", "object-store", "postgresql", "mlflow", "dvc", "ray")
PUBLIC = {"endpoint", "region", "bucket", "access_key", "username", "ca.crt", "tls.crt", "host", "port", "database",
          "user", "dbname", "namespace", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "AWS_ACCESS_KEY_ID",
          "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "config"}  # fmt: skip
GONE = ("prometheus-web", "prometheus-tls", "node-exporter-web")
"""Secrets of monitoring that nobody else keeps a copy of."""


def secrets(site: Site) -> dict[str, str]:
    """Every text that nobody is to see, by where it is: as it is used, and as Kubernetes encodes it."""
    items = json.loads(site.kubectl("get", "secret", "-n", "kube-system", "site-ca", "-o", "json"))
    found = dict(texts(items["metadata"]["name"], items["data"]))
    for namespace in NAMESPACES:
        for secret in json.loads(site.kubectl("get", "secrets", "-n", namespace, "-o", "json"))["items"]:
            found |= texts(f"{namespace}/{secret['metadata']['name']}", secret["data"])
    return found


def texts(where: str, data: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, encoded in data.items():
        if key in PUBLIC:
            continue
        text = base64.b64decode(encoded).decode(errors="replace").strip()
        yield f"{where}/{key} encoded", encoded
        # of a private key, a line that no other key has; of a file of users, what stands for their passwords
        if text.startswith("-----BEGIN"):
            yield f"{where}/{key}", text.splitlines()[1]
        elif key == "web.yml":
            for user, hashed in json.loads(text)["basic_auth_users"].items():
                yield f"{where}/{key} {user}", hashed
        else:
            yield f"{where}/{key}", text


@pytest.fixture(scope="module")
def known(site: Site) -> dict[str, str]:
    """What is secret on the site before a run makes some anew."""
    return secrets(site)


def test_each_service_has_secrets_of_its_own(known: dict[str, str]) -> None:
    wanted = {"object-store-root/secret_key", "login-backup/password", "mlflow-admin/password", "ray-token/auth_token"}
    assert wanted <= {where.partition("/")[2] for where in known}
    assert all(len(text) >= 16 for text in known.values())


def test_the_run_that_made_them_tells_none(site: Site, known: dict[str, str]) -> None:
    """It said all that -vvv and --diff have it say."""
    output = site.log.read_text()
    assert "module_args" in output
    assert [where for where, text in known.items() if text in output] == []


@pytest.mark.soak
def test_what_is_gone_is_made_again_and_no_output_tells_it(site: Site, known: dict[str, str]) -> None:
    before = prometheus.of(site).password
    for name in GONE:
        site.kubectl("delete", "secret", "-n", "monitoring", name)
    playbooks = "playbooks/storage.yml playbooks/platform.yml playbooks/verify.yml"
    run = site.play("-vvv", "--diff", "-e", "site_proofs=changed", playbook=playbooks)
    assert run.status == 0, run.tail
    assert run.changed["n1"] > 0, "it says what it does"
    told = [where for where, text in {**known, **secrets(site)}.items() if text in run.output]
    assert not told
    assert prometheus.of(site).password != before
    assert prometheus.query(site, "up")


def test_no_pod_logs_a_secret(site: Site) -> None:
    now = secrets(site)
    for namespace in NAMESPACES:
        names = site.kubectl("get", "pods", "-n", namespace, "-o", "name").split()
        logs = "".join(site.kubectl("logs", "-n", namespace, "--all-containers", name) for name in names)
        assert [where for where, text in now.items() if text in logs] == []


def test_no_support_bundle_tells_a_secret(site: Site, known: dict[str, str]) -> None:
    """Neither what the site made, nor what somebody was careless with."""
    planted = {
        "journal": "pl4nted-journal-4711",
        "file": "pl4nted-file-4711",
        "environment": "pl4nted-environment-4711",
    }
    site.lab.shell("n2", f"logger -p user.warning -- 'level=error password={planted['journal']} user=bob'")
    site.lab.shell("n2", f"echo 'export API_TOKEN={planted['file']}' > /etc/modules-load.d/planted.conf")
    environment = f"--env=DB_PASSWORD={planted['environment']}"
    site.kubectl("run", "planted", "-n", "kube-system", "--image=docker.io/library/python:3.11-slim-bookworm",
                 environment, "--", "sleep", "60")  # fmt: skip
    try:
        run = site.play(playbook="playbooks/operations/support_bundle.yml")
        assert run.status == 0, run.tail
        assert sum(run.changed.values()) == 0
    finally:
        site.kubectl("delete", "pod", "planted", "-n", "kube-system", "--wait=false")
        site.lab.shell("n2", "rm -f /etc/modules-load.d/planted.conf")
    files = bundled(site)
    every = {**known, **secrets(site), **planted}
    assert {
        (where, file) for where, text in every.items() for file, content in files.items() if text in content
    } == set()
    assert "<removed: value> user=bob" in files["hosts/n2/journals/warnings.log"]
    assert "API_TOKEN=<removed: value>" in files["hosts/n2/kernel/etc/modules-load.d/planted.conf"]
    assert "planted" in files["cluster/namespaces/kube-system/pods.yaml"]
    assert {part["name"] for part in json.loads(files["index.json"])["parts"] if not part["problem"]} >= {
        "hosts/n1", "hosts/n2", "hosts/n3", "cluster"
    }  # fmt: skip


def bundled(site: Site) -> dict[str, str]:
    """What is in the newest bundle, by path."""
    newest = max(site.artifacts.glob("support-bundle-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    assert stat.S_IMODE(newest.stat().st_mode) == 0o600
    found = {}
    with tarfile.open(newest) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            found[member.name.partition("/")[2]] = stream.read().decode(errors="replace")
    return found


def test_what_people_are_given_is_private(site: Site) -> None:
    files = [path for path in site.artifacts.rglob("*") if path.is_file() and path.name not in OPEN]
    assert {"kubeconfig", "monitoring.yml", "mlflow.yml", "ray.yml", "credentials"} <= {file.name for file in files}
    assert {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in files} == dict.fromkeys(
        (file.name for file in files), "0o600"
    )


OPEN = {"report.json", "report.html", "ca.crt", "measurements.json"}
"""What holds no secret."""
