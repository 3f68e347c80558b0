"""What role ray declares, and what it refuses: hardened pods, who may call whom, numbers left to the autoscaler."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.unit.roles.conftest import Role
from tests.unit.roles.manifests import unknown_fields

NODES = {"n1": {}, "n2": {"nvidia.com/gpu": "2", "nvidia.com/mig-1g.10gb": "3"}, "n3": {"nvidia.com/gpu": "3"}}
FACTS: dict[str, Any] = {
    "groups": {"control_plane": ["n1"], "workers": ["n2"], "gpu_nodes": ["n2", "n3"]},
    "hostvars": {name: {"__site_node": {"name": name, "address": f"192.0.2.1{name[1]}"}} for name in NODES},
    "__site_node": {"name": "n1", "address": "192.0.2.11"},
    "__site_certificate": {"digest": "5feceb66ffc86f38"},
    "__ray_token": {"texts": {"auth_token": "t"}},
    "__ray_nodes": {"resources": [{"status": {"capacity": capacity}} for capacity in NODES.values()]},
}
TEMPLATES = ("namespace", "operator", "network_policies", "entrance")


def ray(**values: Any) -> Role:
    return Role("ray", **{**FACTS, **values})


def cluster(**values: Any) -> dict[str, Any]:
    [found] = ray(**values).objects("cluster.yml.j2")
    spec: dict[str, Any] = found["spec"]
    return spec


def group(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = cluster(**values)["workerGroupSpecs"][0]
    return found


def pods() -> list[dict[str, Any]]:
    spec = cluster()
    templates = [spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]]
    templates += [each["spec"]["template"] for each in ray().objects("entrance.yml.j2") if each["kind"] == "Deployment"]
    return [template["spec"] for template in templates]


OURS = [each for template in TEMPLATES for each in ray().objects(f"{template}.yml.j2")]


def named(kind: str, name: str) -> dict[str, Any]:
    return next(each for each in OURS if (each["kind"], each["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize("found", OURS, ids=lambda found: f"{found['kind']} {found['metadata']['name']}")
def test_fields_are_those_that_kubernetes_knows(found: dict[str, Any]) -> None:
    assert unknown_fields(found) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pods_are_hardened(number: int) -> None:
    """As namespaces enforce: https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    pod = pods()[number]
    assert unknown_fields(pod, "V1PodSpec") == []
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    [container] = pod["containers"]
    assert container["securityContext"] == cluster()["autoscalerOptions"]["securityContext"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "memory" in container["resources"]["limits"]
    assert re.search(r":[^:/]+$", container["image"])
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_the_autoscaler_alone_has_a_way_to_the_api_server() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in cluster()["autoscalerOptions"]["volumeMounts"]}
    assert mounts["account"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert all("account" not in [mount["name"] for mount in pod["containers"][0]["volumeMounts"]] for pod in pods())


def test_everything_asks_for_the_token() -> None:
    assert cluster()["authOptions"] == {"mode": "token", "secretName": "ray-token"}


def test_the_head_works_for_nobody_and_has_no_gpu() -> None:
    head = cluster()["headGroupSpec"]
    assert head["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0", "object-store-memory": str(256 << 20)}
    assert list(head["template"]["spec"]["containers"][0]["resources"]["limits"]) == ["memory"]


@pytest.mark.parametrize(
    ("values", "limits", "counted"),
    [
        ({}, {"nvidia.com/gpu": 1}, "1"),
        ({"ray_worker_gpus": 2}, {"nvidia.com/gpu": 2}, "2"),
        ({"ray_worker_gpu_resource": "nvidia.com/mig-1g.10gb"}, {"nvidia.com/mig-1g.10gb": 1}, "1"),
        ({"ray_worker_gpus": 0}, {}, "0"),
    ],
)
def test_workers_ask_for_their_gpus(values: dict[str, Any], limits: dict[str, int], counted: str) -> None:
    found = group(**values, ray_worker_memory_mib=1024)
    assert found["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1024Mi", **limits}
    assert found["rayStartParams"]["num-gpus"] == counted
    assert found["rayStartParams"]["object-store-memory"] == str(256 << 20)


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({}, 0, 5),
        ({"ray_worker_gpus": 2}, 0, 2),
        ({"ray_worker_gpu_resource": "nvidia.com/mig-1g.10gb"}, 0, 3),
        ({"ray_workers_max": 2}, 0, 2),
        ({"ray_workers_min": 7}, 7, 7),
        ({"ray_worker_gpus": 0}, 0, 1),
        ({"__ray_nodes": {"resources": []}}, 0, 1),
    ],
)
def test_there_are_as_many_workers_as_gpus_suffice_for(values: dict[str, Any], least: int, most: int) -> None:
    found = group(**values)
    assert (found["minReplicas"], found["maxReplicas"], found["replicas"]) == (least, most, least)


def test_how_many_workers_there_are_stays_the_autoscalers_to_say() -> None:
    own = {"replicas": 3, "scaleStrategy": {"workersToDelete": ["a"]}}
    observed = {"resources": [{"spec": {"workerGroupSpecs": [own]}}]}
    found = group(__ray_observed=observed)
    assert {key: found[key] for key in own} == own
    assert group(__ray_observed=observed, ray_workers_max=2)["replicas"] == 2


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({}, True),
        ({"ray_workers_max": 1}, True),
        ({"ray_allow_disruption": True}, True),
        ({"ray_image": "docker.io/own/ray:1"}, False),
        ({"ray_head_memory_mib": 4096}, False),
        ({"__ray_token": {"texts": {"auth_token": "another"}}}, False),
    ],
)
def test_pods_say_what_they_were_started_with(values: dict[str, Any], same: bool) -> None:
    def settings(spec: dict[str, Any]) -> set[str]:
        templates = [spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]]
        return {template["metadata"]["annotations"]["groundwork/settings"] for template in templates}

    before, after = settings(cluster()), settings(cluster(**values))
    assert (len(before), len(after), before == after) == (1, 1, same)


@pytest.mark.parametrize(("allowed", "strategy"), [(False, "None"), (True, "Recreate")])
def test_jobs_end_only_where_that_is_allowed(allowed: bool, strategy: str) -> None:
    assert cluster(ray_allow_disruption=allowed)["upgradeStrategy"] == {"type": strategy}


def test_a_namespace_lets_nobody_in_unasked() -> None:
    for namespace in ("ray", "kuberay"):
        [denied] = [each["spec"] for each in OURS if each["kind"] == "NetworkPolicy"
                    and each["metadata"] == {"name": "deny-by-default", "namespace": namespace}]  # fmt: skip
        assert denied == {"podSelector": {}, "policyTypes": ["Ingress"]}
        labels = named("Namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_ports_without_a_token_are_for_nodes_of_ray() -> None:
    """Serve's, metrics' and the raylets' ports: no rule but that of nodes among themselves names them."""
    [among] = named("NetworkPolicy", "ray-nodes")["spec"]["ingress"]
    nodes = {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert (among, named("NetworkPolicy", "ray-nodes")["spec"]["podSelector"]) == (
        {"from": [{"podSelector": nodes}]},
        nodes,
    )
    [others] = named("NetworkPolicy", "ray-heads")["spec"]["ingress"]
    assert [port["port"] for port in others["ports"]] == [8265]
    assert all("ipBlock" not in caller for caller in others["from"])


def test_namespaces_that_are_named_reach_the_head() -> None:
    found = ray(ray_client_namespaces=["team"]).objects("network_policies.yml.j2")
    [heads] = [each for each in found if each["metadata"]["name"] == "ray-heads"]
    rule = heads["spec"]["ingress"][1]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}}}]
    assert [port["port"] for port in rule["ports"]] == [8265, 10001]


def test_the_entrance_calls_the_head_alone() -> None:
    policy = named("NetworkPolicy", "ray-entrance")["spec"]
    assert policy["ingress"] == [{"ports": [{"port": 8443, "protocol": "TCP"}]}]
    head, names = policy["egress"]
    assert head["to"] == [{"podSelector": {"matchLabels": named("Service", "ray-dashboard")["spec"]["selector"]}}]
    assert {port["port"] for port in names["ports"]} == {53}


@pytest.mark.parametrize(("port", "kind", "url"), [(30265, "NodePort", "https://192.0.2.11:30265"),
                                                   (0, "ClusterIP", "https://ray-entrance.ray.svc")])  # fmt: skip
def test_people_come_by_a_port_of_the_nodes_if_there_is_one(port: int, kind: str, url: str) -> None:
    role = ray(ray_node_port=port)
    service = next(each for each in role.objects("entrance.yml.j2") if each["metadata"]["name"] == "ray-entrance")
    assert (service["spec"]["type"], service["spec"]["ports"][0].get("nodePort", 0)) == (kind, port)
    assert role.value("__ray_url") == url
    assert ("192.0.2.11" in role.value("__ray_entrance_names")) is bool(port)


def test_the_entrance_keeps_the_token_out_of_its_log_and_in_encrypted_cookies() -> None:
    configuration = ray().text("nginx.conf.j2")
    [logged] = re.findall(r"log_format plain '(.*)';", configuration)
    assert set(re.findall(r"\$\w+", logged)) == {"$remote_addr", "$status", "$request_method", "$uri"}
    assert "proxy_cookie_flags ~ secure httponly" in configuration


def test_the_kustomization_is_upstreams_and_patches_its_operator() -> None:
    found = yaml.safe_load(ray().text("kustomization.yml.j2"))
    assert (found["resources"], found["namespace"]) == (["config/default"], "kuberay")
    patches = yaml.safe_load(found["patches"][0]["patch"])
    assert {patch["op"] for patch in patches} == {"add", "replace"}
    assert "default/kustomization.yaml" in ray().value("ray_operator_files")


def test_the_kustomization_is_where_the_mirror_has_it() -> None:
    found = ray(site_mirror_manifests_url="http://mirror/manifests").value("__ray_operator_url").strip()
    assert found == "http://mirror/manifests/ray-project/kuberay/v1.6.1/ray-operator/config"


def refused(**values: Any) -> list[dict[str, str]]:
    """The checks that preflight states."""
    [task] = Role("ray").load("tasks", file="preflight")
    buses = {"n2": 2, "n3": 3}
    hosts = {name: {"__gpu_driver_gpus": {"pci_devices": [{"kind": "gpu"}] * count + [{"kind": "nvswitch"}]}}
             for name, count in buses.items()}  # fmt: skip
    role = ray(**{"hostvars": hosts, **task["vars"], **values, "stated": task["ansible.builtin.set_fact"]})
    checks: list[dict[str, str]] = role.value("stated.__ray_preflight_checks")
    return checks


@pytest.mark.parametrize(
    ("values", "status", "observed"),
    [
        ({}, "ok", "hosts have GPUs for 5 workers"),
        ({"ray_worker_gpus": 3}, "ok", "hosts have GPUs for 1 workers"),
        ({"ray_worker_gpus": 4}, "failed", "no host has 4 GPUs, the most that one has is 3"),
        ({"ray_workers_max": 6}, "failed", "hosts have GPUs for 5 workers with 1 each, not for 6"),
        (
            {"ray_worker_gpus": 2, "ray_workers_min": 3},
            "failed",
            "hosts have GPUs for 2 workers with 2 each, not for 3",
        ),
        ({"ray_worker_gpus": 0, "ray_workers_max": 9}, "ok", ""),
        ({"ray_worker_gpu_resource": "nvidia.com/gpu.shared", "ray_workers_max": 9}, "skipped", ""),
        ({"hostvars": {"n2": {}, "n3": {}}, "ray_workers_max": 9}, "skipped", ""),
        ({"groups": {"control_plane": ["n1"]}, "ray_workers_max": 1}, "failed", ""),
    ],
)
def test_a_request_that_no_host_can_meet_is_refused(values: dict[str, Any], status: str, observed: str) -> None:
    check = refused(**values)[0]
    assert (check["name"], check["status"]) == ("ray.workers_find_a_host", status)
    assert check["observed"].startswith(observed)
    assert bool(check["remedy"].strip()) is (status == "failed")


@pytest.mark.parametrize(("version", "status"), [("2.60.0", "ok"), ("2.52.0", "ok"), ("2.51.2", "failed")])
def test_a_ray_that_asks_for_no_token_is_refused(version: str, status: str) -> None:
    assert refused(ray_version=version)[1]["status"] == status


@pytest.mark.parametrize(("port", "status"), [(30265, "ok"), (0, "ok"), (8265, "failed"), (32768, "failed")])
def test_a_port_that_services_cannot_have_is_refused(port: int, status: str) -> None:
    assert refused(ray_node_port=port)[2]["status"] == status


@pytest.mark.parametrize(
    ("started", "declared", "status"), [("a", "a", "ok"), ("a", "b", "warning"), ("", "b", "failed")]
)
def test_a_head_of_before_is_told(started: str, declared: str, status: str) -> None:
    template = {"metadata": {"annotations": {"groundwork/settings": declared}}}
    heads = [{"metadata": {"annotations": {"groundwork/settings": started}}}] if started else []
    role = ray(
        __ray_heads={"resources": heads},
        __ray_clusters={"resources": [{"spec": {"headGroupSpec": {"template": template}}}]},
    )
    check = role.value("__ray_head_is_current")
    assert (check["status"], bool(check["remedy"].strip())) == (status, status != "ok")
