"""What the double of MicroK8s computes, without a host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomllib

from lab.doubles.microk8s.double import (
    arguments,
    containerd,
    datastore,
    joining,
    lab_host,
    launch,
    network,
    node,
    status,
)
from lab.doubles.microk8s.double.addons import Addon, Request, parse
from lab.doubles.microk8s.double.datastore import Member

TEMPLATE = Path(lab_host.__file__).parents[1] / "snap/default-args/containerd-template.toml"


@pytest.fixture(autouse=True)
def snap_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty node."""
    (tmp_path / "data/args").mkdir(parents=True)
    (tmp_path / "data/certs").mkdir()
    monkeypatch.setenv("SNAP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SNAP_COMMON", str(tmp_path / "common"))
    monkeypatch.setenv("SNAP", str(tmp_path / "snap"))
    return tmp_path / "data"


# --- arguments --------------------------------------------------------------------------------------------------------


def test_arguments_are_read_as_kubelite_reads_them(snap_data: Path) -> None:
    lines = [
        "# a comment",
        "",
        '--eviction-hard="memory.available<100Mi,nodefs.available<1Gi"',
        "--root-dir=${SNAP_DATA}/x",
        "-a b",
    ]
    node.arguments_file("kubelet").write_text("\n".join(lines))
    assert arguments.words("kubelet") == [
        "--eviction-hard=memory.available<100Mi,nodefs.available<1Gi",
        f"--root-dir={snap_data}/x",
        "-a",
        "b",
    ]


def test_arguments_are_set_added_and_deleted_and_a_second_time_nothing_changes() -> None:
    node.arguments_file("kubelet").write_text("--a=1\n--b 2\n--containerd=x\n")
    wanted = {"--a": "3", "--b": None, "--c": "4"}
    assert arguments.update("kubelet", wanted)
    assert arguments.read("kubelet") == "--a=3\n--containerd=x\n--c=4\n"
    assert not arguments.update("kubelet", wanted)


def test_a_flag_that_begins_like_another_is_another() -> None:
    node.arguments_file("kubelet").write_text("--container-runtime-endpoint=x\n")
    arguments.update("kubelet", {"--container-runtime": None})
    assert arguments.get("--container-runtime-endpoint", "kubelet") == "x"


# --- containerd.toml --------------------------------------------------------------------------------------------------

NVIDIA = """
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
        BinaryName = "/usr/bin/nvidia-container-runtime"
"""


@pytest.mark.parametrize(("cgroup2", "kind"), [(True, "io.containerd.runc.v2"), (False, "io.containerd.runc.v1")])
def test_the_template_is_filled_in(cgroup2: bool, kind: str) -> None:
    text = containerd.substitute(
        TEMPLATE.read_text(), snap="/snap/microk8s/1", data="/var/snap/microk8s/1", cgroup2=cgroup2
    )
    plugin = tomllib.loads(text)["plugins"]["io.containerd.grpc.v1.cri"]
    assert "$" not in text
    assert plugin["containerd"]["runtimes"]["runc"] == {"runtime_type": kind}
    assert plugin["registry"]["config_path"] == "/var/snap/microk8s/1/args/certs.d"
    assert plugin["cni"] == {
        "bin_dir": "/var/snap/microk8s/1/opt/cni/bin",
        "conf_dir": "/var/snap/microk8s/1/args/cni-network",
    }


def test_every_runtime_gets_the_hook_and_the_options_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lab_host, "CONTAINER_HOOK", tmp_path)  # is there
    monkeypatch.setattr(lab_host, "_base_specification", lambda: Path("/spec.json"))
    text = containerd.substitute(TEMPLATE.read_text() + NVIDIA, snap="/s", data="/d", cgroup2=True)
    plugin = tomllib.loads(lab_host.adapt_containerd(text))["plugins"]["io.containerd.grpc.v1.cri"]
    runtimes = plugin["containerd"]["runtimes"]
    assert {name: runtime["base_runtime_spec"] for name, runtime in runtimes.items()} == dict.fromkeys(
        ("runc", "nvidia-container-runtime", "kata", "nvidia"), "/spec.json"
    )
    assert runtimes["nvidia"]["options"] == {"BinaryName": "/usr/bin/nvidia-container-runtime"}
    assert plugin["disable_apparmor"] is True


# --- the datastore ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(1, "v"), (2, "vr"), (3, "vvv"), (4, "vvvs"), (6, "vvvsss"), (7, "vvvsssr")],
)
def test_roles_are_those_of_dqlite(count: int, wanted: str) -> None:
    letters = {datastore.VOTER: "v", datastore.STANDBY: "s", datastore.SPARE: "r"}
    found = datastore.roles([f"10.0.0.{number}:19001" for number in range(count)])
    assert "".join(letters[role] for role in found.values()) == wanted


# --- the network ------------------------------------------------------------------------------------------------------


def _node(name: str, part: str | None, address: str) -> dict[str, object]:
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "spec": {"podCIDR": part} if part else {}, "status": {"addresses": addresses}}


def test_routes_lead_to_the_other_nodes_that_have_a_part_of_the_network() -> None:
    nodes = [
        _node("n1", "10.1.0.0/24", "10.0.0.1"),
        _node("n2", "10.1.1.0/24", "10.0.0.2"),
        _node("n3", None, "10.0.0.3"),
    ]
    assert network.plan(nodes, "n2") == ("10.1.1.0/24", {"10.1.0.0/24": "10.0.0.1"})


def test_the_ends_of_pods_are_no_addresses_of_the_host() -> None:
    listed = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\ valid_lft forever\n"
        "2: eth0    inet 10.77.0.11/24 brd 10.77.0.255 scope global eth0\\ valid_lft forever\n"
        "5: veth1a2b    inet 10.1.0.1/32 scope global veth1a2b\\ valid_lft forever\n"
    )
    assert node.pod_addresses(listed) == {"10.1.0.1"}


def test_the_network_gives_addresses_of_the_nodes_part() -> None:
    written = json.loads(network.configuration("10.1.1.0/24"))
    assert written["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.1.1.0/24"}]]


# --- launch configurations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["extraSANs: [a]", "version: 0.3.0", "version: [", "- version", "version: 0.1.0\n---\naddons: []"]
)
def test_a_launch_configuration_without_a_known_version_is_refused(text: str) -> None:
    with pytest.raises(launch.InvalidError):
        launch.parse(text)


def test_a_launch_configuration_is_applied_to_files_before_the_first_start() -> None:
    node.arguments_file("kube-apiserver").write_text("--authorization-mode=AlwaysAllow\n")
    node.arguments_file("kubelet").write_text("--gone=1\n")
    node.certificate("csr.conf.template").write_text("DNS.1 = kubernetes\nIP.1 = 127.0.0.1\n#MOREIPS\n[ v3_ext ]\n")
    launch.apply(
        launch.parse("""
version: 0.1.0
addons: [{name: dns}]
extraKubeAPIServerArgs: {--authorization-mode: "RBAC,Node"}
extraKubeletArgs: {--cluster-dns: 10.152.183.10, --gone: null}
extraSANs: [k8s.example.org, 192.0.2.1]
containerdRegistryConfigs:
  docker.io: server = "http://mirror"
persistentClusterToken: 0123456789abcdef0123456789abcdef
"""),
        first=True,
    )
    assert arguments.read("kube-apiserver") == "--authorization-mode=RBAC,Node\n"
    assert arguments.read("kubelet") == "--cluster-dns=10.152.183.10\n"
    assert node.arguments_file("certs.d/docker.io/hosts.toml").read_text() == 'server = "http://mirror"'
    assert node.credential("persistent-cluster-tokens.txt").read_text() == "0123456789abcdef0123456789abcdef\n"
    request = node.certificate("csr.conf.template").read_text()
    assert "DNS.2 = k8s.example.org" in request
    assert "IP.100 = 192.0.2.1" in request


# --- join -------------------------------------------------------------------------------------------------------------

TOKEN, CHECK = "a" * 32, "b" * 12


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("10.0.0.1", "Expected format: <master_IP>:<master_PORT>/<token>[/<fingerprint>]"),
        (f"n1:25000/{TOKEN}", "Invalid master IP"),
        (f"10.0.0.1:x/{TOKEN}", "Master PORT not a number"),
        (f"10.0.0.1:70000/{TOKEN}", "Master PORT not in range 1:65535"),
        ("10.0.0.1:25000/short", "Cluster token size should be at least 32 bytes"),
        (f"10.0.0.1:25000/{TOKEN}/short", "Fingerprint should be at least 12 bytes"),
    ],
)
def test_an_url_that_cannot_be_joined_is_refused_in_microk8s_words(url: str, why: str) -> None:
    with pytest.raises(node.CommandError) as refused:
        joining.parse(url)
    assert (str(refused.value), refused.value.status) == (f"Invalid connection: {why}", 1)


def test_an_url_has_four_parts() -> None:
    assert joining.parse(f"10.0.0.1:25000/{TOKEN}/{CHECK}") == joining.Connection("10.0.0.1", 25000, TOKEN, CHECK)


# --- status -----------------------------------------------------------------------------------------------------------

DNS = Addon("core", "dns", "CoreDNS", "1.13.1", "pod/coredns")
RBAC = Addon("core", "rbac", "Role-Based Access Control for authorisation", "", "clusterrole/x")
MEMBERS = [Member(1, "10.0.0.1:19001", datastore.VOTER), Member(2, "10.0.0.2:19001", datastore.SPARE)]


def test_status_for_people() -> None:
    assert "\n".join(status.pretty_lines(MEMBERS, [DNS], [RBAC])) == (
        """microk8s is running
high-availability: no
  datastore master nodes: 10.0.0.1:19001
  datastore standby nodes: none
addons:
  enabled:
    dns                  # (core) CoreDNS
  disabled:
    rbac                 # (core) Role-Based Access Control for authorisation"""
    )


def test_status_as_yaml_shows_spares_too() -> None:
    node.set_lock("ha-cluster")
    assert "\n".join(status.yaml_lines(True, MEMBERS, [DNS], [])) == (
        """microk8s:
  running: True
high-availability:
  enabled: True
  nodes:
    - address: 10.0.0.1:19001
      role: voter
    - address: 10.0.0.2:19001
      role: spare
addons:
  - name: dns
    repository: core
    description: CoreDNS
    version: 1.13.1
    status: enabled"""
    )


def test_three_voters_are_highly_available() -> None:
    three = [Member(number, f"10.0.0.{number}:19001", datastore.VOTER) for number in range(3)]
    assert "high-availability: yes" in status.pretty_lines(three, [], [])


# --- addons -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["dns"], [Request("core", "dns")]),
        (["core/dns"], [Request("core", "dns")]),
        (["dns:1.1.1.1"], [Request("core", "dns", ("1.1.1.1",))]),
        (["dns", "--flag"], [Request("core", "dns", ("--flag",))]),
    ],
)
def test_what_enable_is_asked_for(words: list[str], wanted: list[Request]) -> None:
    assert parse(words, [DNS, RBAC, Addon("core", "helm", "", "", "")]) == wanted


def test_an_addon_that_is_in_no_repository_ends_enable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(node.CommandError):
        parse(["foo"], [DNS])
    assert capsys.readouterr().err == "Addon foo was not found in any repository\n"
