"""What roles mlflow and dvc give Kubernetes and people: known fields, closed pods, who may call whom, exact names."""

from __future__ import annotations

import base64
import configparser
import re
import urllib.parse
from typing import Any

import pytest

from tests.unit.roles.conftest import Role
from tests.unit.roles.manifests import containers, pod_of, unknown_fields

FACTS: dict[str, Any] = {
    "groups": {"control_plane": ["n1"], "workers": ["n2"]},
    "hostvars": {name: {"__site_node": {"name": name, "address": f"192.0.2.1{name[1]}"}} for name in ("n1", "n2")},
    "__site_node": {"name": "n1", "address": "192.0.2.11"},
    "site_outside_names": ["mlflow.example", "2001:db8::1"],
    "__site_certificate": {"digest": "5feceb66ffc86f38", "authority": "PEM"},
}
CLOSED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
WORD = "p/w%d@:é"
DATABASE = {"host": "db.svc", "port": "5432", "username": "mlflow", "password": WORD, "ca.crt": "PEM"}
OBJECTS = {"endpoint": "https://s3.svc", "region": "us-east-1", "bucket": "team-data", "access_key": "AKIA",
           "secret_key": "hidden", "ca.crt": "PEM"}  # fmt: skip
OUTSIDE = {"postgresql_host": "db.example", "postgresql_port": 6432, "object_store_endpoint": "https://s3.example:9000"}


def secret(texts: dict[str, str]) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}


def told(*secrets: dict[str, str]) -> dict[str, Any]:
    return {"results": [{"resources": [secret(each)]} for each in secrets]}


def server(**values: Any) -> Role:
    given = told({**DATABASE, "database": "mlflow"}, {**DATABASE, "database": "mlflow_auth"}, OBJECTS)
    made = {
        "__mlflow_server": {"texts": {"flask_secret_key": "a"}},
        "__mlflow_administration": {"texts": {"password": "b"}},
    }
    return Role("mlflow", **{**FACTS, **made, "__mlflow_told": given, "__mlflow_found": {"resources": []}, **values})


def remote(**values: Any) -> Role:
    return Role(
        "dvc", **{**FACTS, "dvc_image": "registry/dvc:3", "__dvc_told": {"resources": [secret(OBJECTS)]}, **values}
    )


def objects(role: Role, *templates: str) -> list[dict[str, Any]]:
    return [each for template in templates for each in role.objects(f"{template}.yml.j2")]


ALL = [
    *objects(server(), "namespace", "network_policies", "plugin", "prepare", "server"),
    *objects(remote(), "namespace", "network_policies", "prove"),
]
EACH = [
    pytest.param(each, id=f"{each['kind']} {each['metadata']['name']} of {each['metadata'].get('namespace')}")
    for each in ALL
]
PODS = [pytest.param(pod, id=each["metadata"]["name"]) for each in ALL if (pod := pod_of(each))]


def named(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name))


def command(found: list[dict[str, Any]]) -> dict[str, str]:
    """The server's options by their names."""
    [container] = named(found, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    return dict(word.removeprefix("--").partition("=")[::2] for word in container["command"] if word.startswith("--"))


@pytest.mark.parametrize("found", EACH)
def test_fields_are_those_that_kubernetes_knows(found: dict[str, Any]) -> None:
    assert unknown_fields(found) == []


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_meets_the_restricted_standard(pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ which the namespaces enforce."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in containers(pod):
        assert container["securityContext"] == CLOSED
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert "memory" in container["resources"]["limits"]
        assert re.search(r":[^:/]+$", container["image"])


@pytest.mark.parametrize("pod", PODS)
def test_secrets_come_from_secrets(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        for variable in container["env"]:
            if re.search("PASSWORD|SECRET|ACCESS_KEY|PASSPHRASE|STORE_URI", variable["name"]):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}
    assert WORD not in str(pod)
    assert "hidden" not in str(pod)


@pytest.mark.parametrize(("namespace", "reached"), [("mlflow", [5000]), ("dvc", [])])
def test_a_namespace_lets_nobody_in_or_out_unasked(namespace: str, reached: list[int]) -> None:
    policies = [
        each["spec"] for each in ALL if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == namespace
    ]
    assert policies[0] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ingress = [rule for spec in policies for rule in spec.get("ingress", ())]
    assert [port["port"] for rule in ingress for port in rule["ports"]] == reached
    labels = named(ALL, "Namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def calls(role: Role, policy: str) -> list[tuple[str, list[int]]]:
    """Whom pods may call: the namespace, or "" for everybody, and the ports."""
    egress = named(objects(role, "network_policies"), "NetworkPolicy", policy)["spec"]["egress"]
    places = [
        [to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for to in rule.get("to", ())]
        for rule in egress
    ]
    return [
        ("".join(place), [port["port"] for port in rule["ports"]]) for place, rule in zip(places, egress, strict=True)
    ]


def test_pods_call_what_keeps_their_data_and_nobody_else() -> None:
    names = ("kube-system", [53, 53])
    assert calls(server(), "what-it-keeps-data-in") == [names, ("postgresql", [5432]), ("object-store", [7070])]
    assert calls(server(**OUTSIDE), "what-it-keeps-data-in") == [names, ("", [6432]), ("", [9000])]
    assert calls(remote(), "proof") == [names, ("object-store", [7070])]
    assert calls(remote(object_store_endpoint="https://s3.example"), "proof") == [names, ("", [443])]


def test_pods_are_those_that_policies_select() -> None:
    for name, part in (("mlflow", "groundwork-mlflow"), ("prepare", "groundwork-mlflow"), ("prove", "groundwork-dvc")):
        found = next(each for each in ALL if each["metadata"]["name"] == name and pod_of(each))
        assert found["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == part


def test_the_server_is_called_by_exact_names_alone() -> None:
    hosts = command(ALL)["allowed-hosts"].split(",")
    assert not [host for host in hosts if "*" in host]
    inside = ["mlflow.mlflow.svc", "mlflow.mlflow.svc.cluster.local"]
    outside = ["192.0.2.11", "n1", "mlflow.example", "[2001:db8::1]"]
    assert {*inside, *(f"{name}:443" for name in inside), *outside, *(f"{name}:30500" for name in outside)} <= set(
        hosts
    )
    origins = command(ALL)["cors-allowed-origins"].split(",")
    assert {"https://192.0.2.11:30500", "https://mlflow.example", "https://mlflow.mlflow.svc"} <= set(origins)
    assert all(origin.startswith("https://") for origin in origins)


def test_names_stand_in_the_same_order_in_every_run() -> None:
    """Another order would be another server, which starts anew."""
    assert command(ALL)["allowed-hosts"].split(",")[4:9] == ["n1", "192.0.2.11", "n2", "192.0.2.12", "mlflow.example"]


def test_the_server_asks_for_a_login_by_tls() -> None:
    assert command(ALL)["app-name"] == "basic-auth"
    assert (
        "--ssl-certfile=/etc/mlflow/tls/tls.crt --ssl-keyfile=/etc/mlflow/tls/tls.key" in command(ALL)["uvicorn-opts"]
    )
    [container] = named(ALL, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] == "true"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == environment["MLFLOW_ENABLE_AI_GATEWAY"] == "false"
    assert [environment.get("AWS_CA_BUNDLE")] == ["/etc/mlflow/object-store/ca.crt"]
    assert "AWS_CA_BUNDLE" not in str(objects(without_authority(), "server"))


def test_artifacts_go_through_the_server() -> None:
    """By the plugin, which Python finds in the folder that is mounted."""
    assert command(ALL)["artifacts-destination"] == "proxied-s3://$(BUCKET)"
    data = named(ALL, "ConfigMap", "mlflow-plugin")["data"]
    found = configparser.ConfigParser()
    found.read_string(data["entry_points.txt"])
    module, _, name = found["mlflow.artifact_repository"]["proxied-s3"].partition(":")
    assert f"class {name}(ArtifactRepository):" in data[f"{module}.py"]
    pod = named(ALL, "Deployment", "mlflow")["spec"]["template"]["spec"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "plugin"]
    assert {item["key"] for item in volume["configMap"]["items"]} == set(data)
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "plugin"]
    assert {"name": "PYTHONPATH", "value": mount["mountPath"]} in pod["containers"][0]["env"]


def without_authority(**values: Any) -> Role:
    """A server whose PostgreSQL and S3 have certificates that everybody trusts."""
    bare = {**DATABASE, "ca.crt": ""}
    given = told({**bare, "database": "mlflow"}, {**bare, "database": "users"}, {**OBJECTS, "ca.crt": ""})
    return server(__mlflow_told=given, **values)


@pytest.mark.parametrize(("name", "database"), [("__mlflow_backend", "mlflow"), ("__mlflow_users", "mlflow_auth")])
def test_a_database_is_named_with_its_password_and_its_authority(name: str, database: str) -> None:
    parts = urllib.parse.urlsplit(server().value(name))
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == (
        "postgresql+psycopg2",
        "db.svc",
        5432,
        f"/{database}",
    )
    assert urllib.parse.unquote(str(parts.password)) == WORD
    folder = database.replace("_", "-")
    assert parts.query == f"sslmode=verify-full&sslrootcert=/etc/mlflow/{folder}/ca.crt"
    assert without_authority().value(name).endswith("?sslmode=require")


def test_what_logins_are_asked_for_is_read_as_it_was_meant() -> None:
    """By configparser, as MLflow reads it, per cent signs and all."""
    role = server(mlflow_auth_cache_seconds=7, mlflow_default_permission="READ")
    read = configparser.ConfigParser()
    read.read_string(role.text("basic_auth.ini.j2"))
    assert dict(read["mlflow"]) == {
        "admin_username": "admin",
        "default_permission": "READ",
        "database_uri": role.value("__mlflow_users"),
        "auth_cache_ttl_seconds": "7",
    }


def test_databases_are_prepared_once_for_each_version_and_administrator() -> None:
    found = {"metadata": {"annotations": {"groundwork/prepared": server().value("__mlflow_preparation")}}}
    there = {"__mlflow_found": {"resources": [found]}}
    assert server().value("__mlflow_is_prepared") is False
    assert server(**there).value("__mlflow_is_prepared") is True
    assert server(**there, mlflow_version="9.9.9").value("__mlflow_is_prepared") is False
    other = {"__mlflow_administration": {"texts": {"password": "another"}}}
    assert server(**there, **other).value("__mlflow_is_prepared") is False
    # what a pod alone reads has it start anew, and no more
    assert server(**there, __mlflow_server={"texts": {"flask_secret_key": "b"}}).value("__mlflow_is_prepared") is True


def test_a_server_starts_anew_when_what_it_reads_once_changes() -> None:
    one = server().value("__mlflow_configuration")
    assert one == server().value("__mlflow_configuration")
    assert one != server(__mlflow_server={"texts": {"flask_secret_key": "b"}}).value("__mlflow_configuration")
    assert one != without_authority().value("__mlflow_configuration")


@pytest.mark.parametrize(
    ("namespaces", "users"),
    [
        ([], {"mlflow": "groundwork-verify"}),
        (["ray", "team", "ray"], {"mlflow": "groundwork-verify", "ray": "workloads-ray", "team": "workloads-team"}),
        (["admin"], {"mlflow": "groundwork-verify", "admin": "workloads-admin"}),
        (["mlflow"], {"mlflow": "groundwork-verify"}),
    ],
)
def test_each_namespace_has_a_user_and_none_is_the_administrator(namespaces: list[str], users: dict[str, str]) -> None:
    role = server(mlflow_client_namespaces=namespaces)
    assert {
        each: server(__mlflow_client=each).value("__mlflow_user") for each in role.value("__mlflow_clients")
    } == users


def remote_section(text: str) -> dict[str, str]:
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(re.sub("(?m)^ +", "", text))
    assert read["core"]["remote"] == "groundwork"
    return dict(read["'remote \"groundwork\"'"])


@pytest.mark.parametrize(
    ("who", "folder", "endpoint"),
    [
        ("pods", "/etc/dvc-client", "https://s3.svc"),
        ("people", "/artifacts/groundwork/dvc", "https://192.0.2.11:30900"),
    ],
)
def test_a_remote_is_known_by_name_with_its_key_and_verifies(who: str, folder: str, endpoint: str) -> None:
    role = remote(site_artifacts_directory="/artifacts")
    role.variables["given"] = role.value(f"__dvc_{who}")
    text = role.value("lookup('template', 'config.j2', template_vars=given)")
    assert remote_section(text) == {
        "url": "s3://team-data",
        "endpointurl": endpoint,
        "region": "us-east-1",
        "profile": "groundwork",
        "credentialpath": f"{folder}/credentials",
        "ssl_verify": f"{folder}/ca.crt",
        "verify": "true",
    }
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(role.value("__dvc_credentials"))
    assert dict(read["groundwork"]) == {"aws_access_key_id": "AKIA", "aws_secret_access_key": "hidden"}


def test_a_remote_of_the_sites_own_is_trusted_as_everybody_is() -> None:
    role = remote(
        object_store_endpoint="https://s3.example", __dvc_told={"resources": [secret({**OBJECTS, "ca.crt": ""})]}
    )
    role.variables |= role.value("__dvc_people")
    assert "ssl_verify" not in remote_section(role.text("config.j2"))
    assert "AWS_CA_BUNDLE" not in role.text("prove.yml.j2")
