"""What roles object_store and postgresql give Kubernetes: known fields, closed pods, and who may call whom."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.conftest import Role
from tests.unit.roles.manifests import containers, pod_of, unknown_fields

FACTS: dict[str, Any] = {
    "groups": {"control_plane": ["n1"], "workers": ["n2"]},
    "hostvars": {name: {"__site_node": {"name": name, "address": f"192.0.2.1{name[1]}"}} for name in ("n1", "n2")},
}
GATEWAY: dict[str, Any] = {
    "__object_store_metadata": "attributes",
    "__site_certificate": {"digest": "5feceb66ffc86f38", "authority": "PEM"},
}
CONSUMER: dict[str, Any] = {"postgresql_consumer": {"name": "my-app", "namespace": "team"}}
OURS = ("Cluster", "Database", "DatabaseRole")


def store(**values: Any) -> Role:
    return Role("object_store", **{**FACTS, **GATEWAY, **values})


def rows(**values: Any) -> Role:
    return Role("postgresql", **{**FACTS, **CONSUMER, "postgresql_restore_database": "my-app", **values})


def objects(role: Role, *templates: str) -> list[dict[str, Any]]:
    return [each for template in templates for each in role.objects(f"{template}.yml.j2")]


def everything() -> list[dict[str, Any]]:
    found = objects(store(), "namespace", "volume", "network_policies", "gateway")
    found += objects(
        rows(),
        "namespace",
        "operator_policies",
        "network_policies",
        "cluster",
        "consumer_access",
        "consumer_role",
        "consumer_database",
    )
    return found + objects(rows(), "backup_role", "programs", "schedule", "backup", "restore", "prove")


ALL = everything()
PODS = [pytest.param(pod, id=each["metadata"]["name"]) for each in ALL if (pod := pod_of(each))]
NATIVE = [
    pytest.param(each, id=f"{each['kind']} {each['metadata']['name']}") for each in ALL if each["kind"] not in OURS
]


def named(kind: str, name: str) -> dict[str, Any]:
    return next(each for each in ALL if (each["kind"], each["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize("found", NATIVE)
def test_fields_are_those_that_kubernetes_knows(found: dict[str, Any]) -> None:
    """Its client's models leave out what they do not know, and refuse what lacks something."""
    assert unknown_fields(found) == []


def test_objects_are_made_once() -> None:
    found = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in ALL]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_meets_the_restricted_standard(pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ which the namespaces enforce."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in containers(pod):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("pod", PODS)
def test_images_are_pinned_and_memory_is_limited(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        assert re.search(r":[^:/]+$", container["image"])
        assert not container["image"].endswith(":latest")
        assert {"requests", "limits"} <= set(container["resources"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("pod", PODS)
def test_what_is_mounted_is_there(pod: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in containers(pod):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("pod", PODS)
def test_secrets_come_from_secrets(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        for variable in container.get("env", ()):
            if re.search("PASSWORD|SECRET|KEY_ID|PGUSER", variable["name"]):
                assert set(variable["valueFrom"]) == {"secretKeyRef"}


@pytest.mark.parametrize("namespace", ["object-store", "postgresql"])
def test_a_namespace_lets_nobody_in_unasked(namespace: str) -> None:
    denied = [each["spec"] for each in ALL if each["kind"] == "NetworkPolicy"
              and each["metadata"] == {"name": "deny-by-default", "namespace": namespace}]  # fmt: skip
    assert [("Ingress" in spec["policyTypes"], spec["podSelector"], "ingress" in spec) for spec in denied] == [
        (True, {}, False)
    ]
    labels = named("Namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_gateway_has_one_port_and_calls_nobody() -> None:
    ingress = named("NetworkPolicy", "versitygw")["spec"]["ingress"]
    assert ingress == [{"ports": [{"port": 7070, "protocol": "TCP"}]}]
    denied = next(each for each in ALL if each["metadata"] == {"name": "deny-by-default", "namespace": "object-store"})
    assert denied["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_postgresql_is_reached_by_its_consumers_our_jobs_and_the_operator() -> None:
    callers = [
        rule for name in ("instance", "consumer-my-app") for rule in named("NetworkPolicy", name)["spec"]["ingress"]
    ]
    assert all(rule["from"] for rule in callers)
    assert [(next(iter(rule["from"][0])), rule["ports"][0]["port"]) for rule in callers] == [
        ("namespaceSelector", 8000),
        ("podSelector", 5432),
        ("namespaceSelector", 5432),
    ]
    assert callers[2]["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "team"}
    labels = objects(rows(), "backup")[0]["spec"]["template"]["metadata"]["labels"]
    assert callers[1]["from"][0]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize(("metadata", "beside"), [("attributes", False), ("sidecar", True)])
def test_metadata_is_where_it_was_decided(metadata: str, beside: bool) -> None:
    found = objects(store(__object_store_metadata=metadata), "volume", "gateway")
    assert found[0]["metadata"]["annotations"] == {"groundwork/metadata": metadata}
    command = next(pod["containers"][0]["command"] for each in found if (pod := pod_of(each)))
    assert ("--sidecar=/srv/object-store/metadata" in command) is beside
    assert command[-1] == "/srv/object-store/objects"
    # what is the backend's own stands behind its name
    assert [word for word in command[command.index("posix") + 1 :] if not word.startswith("--sidecar")] == [command[-1]]


@pytest.mark.parametrize(
    ("values", "storage_class", "mode"),
    [
        ({}, "local", "ReadWriteOnce"),
        ({"shared_storage_path": "/srv/shared"}, "shared", "ReadWriteMany"),
        ({"object_store_storage_class": "ceph"}, "ceph", "ReadWriteMany"),
    ],
)
def test_objects_are_on_what_hosts_share_where_they_do(values: dict[str, Any], storage_class: str, mode: str) -> None:
    spec = objects(store(**values), "volume")[0]["spec"]
    assert (spec["storageClassName"], spec["accessModes"]) == (storage_class, [mode])


def test_the_certificate_is_for_every_way_to_the_gateway() -> None:
    names = store(site_outside_names=["s3.example"]).value("__object_store_names + __site_entrance_names")
    service = "object-store.object-store.svc"
    assert names == [service, f"{service}.cluster.local", "n1", "192.0.2.11", "n2", "192.0.2.12", "s3.example"]


@pytest.mark.parametrize(
    ("values", "bucket", "access", "secret"),
    [
        ({}, "app", "app", ""),
        ({"object_store_endpoint": "https://s3"}, "app", "common", "c-secret"),
        (
            {"object_store_endpoint": "https://s3", "object_store_bucket_prefix": "site-"},
            "site-app",
            "common",
            "c-secret",
        ),
        (
            {"object_store_endpoint": "https://s3", "object_store_keys": {"app": {"access_key": "own", "bucket": "b"}}},
            "b",
            "own",
            "c-secret",
        ),
    ],
)
def test_a_consumer_has_the_key_that_is_meant_for_it(
    values: dict[str, Any], bucket: str, access: str, secret: str
) -> None:
    given = {"object_store_access_key": "common", "object_store_secret_key": "c-secret"}
    found = store(object_store_consumer={"name": "app", "namespace": "team"}, **given, **values)
    key = found.value("__object_store_key")
    assert (found.value("__object_store_bucket"), key["access_key"].strip(), key["secret_key"].strip()) == (
        bucket,
        access,
        secret,
    )


def test_names_with_hyphens_are_sql_names() -> None:
    cluster = named("Cluster", "postgresql")["spec"]
    role, database = named("DatabaseRole", "my-app")["spec"], named("Database", "my-app")["spec"]
    assert (role["name"], role["passwordSecret"], role["login"]) == ("my_app", {"name": "login-my-app"}, True)
    assert (database["name"], database["owner"]) == ("my_app", "my_app")
    assert cluster["bootstrap"]["initdb"]["owner"] == "groundwork_verify"
    assert cluster["enableSuperuserAccess"] is False


def test_connections_without_tls_are_rejected() -> None:
    assert named("Cluster", "postgresql")["spec"]["postgresql"]["pg_hba"][0].split() == [
        "hostnossl",
        *["all"] * 3,
        "reject",
    ]
    for name in ("backup-now", "restore", "prove"):
        pod = pod_of(named("Job", name)) or {}
        modes = [
            each["value"] for container in containers(pod) for each in container["env"] if each["name"] == "PGSSLMODE"
        ]
        assert modes == ["verify-full"]


def test_who_dumps_can_read_and_nothing_else() -> None:
    role = named("DatabaseRole", "backup")["spec"]
    assert (role["inRoles"], role.get("superuser", False)) == (["pg_read_all_data"], False)


@pytest.mark.parametrize(
    ("job", "steps", "secret"),
    [
        ("backup-now", ["dump", "keep"], "login-backup"),
        ("restore", ["fetch", "restore"], "login-my-app"),
        ("prove", ["prove"], "login-groundwork-verify"),
    ],
)
def test_steps_follow_one_another_with_the_login_of_who_may(job: str, steps: list[str], secret: str) -> None:
    pod = pod_of(named("Job", job)) or {}
    assert [container["name"] for container in containers(pod)] == steps
    logins = {each["valueFrom"]["secretKeyRef"]["name"] for container in containers(pod) for each in container["env"]
              if "valueFrom" in each}  # fmt: skip
    assert logins == {secret}


def test_the_schedule_does_what_a_dump_now_does() -> None:
    scheduled = named("CronJob", "backup")["spec"]["jobTemplate"]["spec"]
    now = named("Job", "backup-now")["spec"]
    assert (scheduled["template"], scheduled["activeDeadlineSeconds"]) == (
        now["template"],
        now["activeDeadlineSeconds"],
    )


def test_a_restore_fetches_what_was_asked_for() -> None:
    found = objects(rows(postgresql_restore_time="20260102T030405Z"), "restore")[0]
    fetch = (pod_of(found) or {})["initContainers"][0]["command"]
    assert fetch[-4:] == ["fetch", "my_app", "20260102T030405Z", "/dumps/restore.dump"]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder that a pod has the programs in, laid out as its volume says."""
    pod = pod_of(named("Job", "prove")) or {}
    volume = next(each for each in pod["volumes"] if each["name"] == "programs")["configMap"]
    data = named("ConfigMap", volume["name"])["data"]
    for item in volume["items"]:
        (tmp_path / item["path"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / item["path"]).write_text(data[item["key"]])
    assert set(data) == {item["key"] for item in volume["items"]}
    return tmp_path


def test_what_moves_dumps_runs_without_ansible(programs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    for name, text in {"endpoint": "http://127.0.0.1:9", "region": "r", "bucket": "b", "access_key": "a",
                       "secret_key": base64.b64encode(b"s").decode()}.items():  # fmt: skip
        (secret / name).write_text(text)
    pod = pod_of(named("Job", "restore")) or {}
    command = [sys.executable, "-S", *containers(pod)[0]["command"][1:]]
    environment = {"PYTHONPATH": str(programs), "OBJECT_STORE": str(secret), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "http://127.0.0.1:9 does not answer" in done.stdout


@pytest.mark.parametrize("script", ["dump.sh", "restore.sh", "prove.sh"])
def test_scripts_parse_and_end_at_their_first_fault(programs: Path, script: str) -> None:
    assert subprocess.run(["dash", "-n", programs / script], capture_output=True, check=False).returncode == 0
    assert (programs / script).read_text().splitlines()[0] == "set -eu"


def test_the_manifest_is_where_the_mirror_has_it() -> None:
    found = rows(site_mirror_manifests_url="http://mirror/manifests")
    path = "cloudnative-pg/cloudnative-pg/v1.30.0/releases/cnpg-1.30.0.yaml"
    assert found.value("__postgresql_manifest_url").strip() == f"http://mirror/manifests/{path}"
    assert rows().value("__postgresql_manifest_url").strip() == f"https://raw.githubusercontent.com/{path}"


@pytest.mark.parametrize(
    ("resources", "status", "observed"),
    [
        ([[], [], []], "failed", "not there"),
        ([[{"status": {"phase": "Setting up primary", "readyInstances": 0}}], [], []], "failed", "Setting up primary"),
        ([[{"status": {"phase": "Cluster in healthy state", "readyInstances": 1}}], [], []], "ok", "healthy"),
    ],
)
def test_an_instance_is_judged_by_what_it_says(resources: list[Any], status: str, observed: str) -> None:
    found = rows(__postgresql_observed={"results": [{"resources": each} for each in resources]})
    check = found.value("__postgresql_runs")
    assert check["status"] == status
    assert observed in check["observed"]
    assert bool(check["remedy"]) is (status == "failed")


@pytest.mark.parametrize(
    ("applied", "status", "observed"),
    [
        ([{}], "failed", "my-app"),
        ([{"applied": False}], "failed", "my-app"),
        ([{"applied": True}], "ok", "my_app"),
        ([], "ok", "no consumer asks for one"),
    ],
)
def test_databases_are_judged_by_what_the_operator_says(
    applied: list[dict[str, Any]], status: str, observed: str
) -> None:
    databases = [{"metadata": {"name": "my-app"}, "spec": {"name": "my_app"}, "status": each} for each in applied]
    found = rows(__postgresql_observed={"results": [{"resources": []}, {"resources": databases}, {"resources": []}]})
    check = found.value("__postgresql_databases")
    assert (check["status"], check["observed"].strip()) == (status, observed)
