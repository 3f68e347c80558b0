"""The double of `microk8s` says and ends with what MicroK8s does, its lying exit statuses included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab.doubles.microk8s.double import agent, arguments, certificates, commands, datastore, node, system, tokens

SNAP = Path(commands.__file__).parents[1] / "snap"
COMMAND = "import sys; from lab.doubles.microk8s.double.commands import main; sys.exit(main(sys.argv[1:]))"
CLUSTER = "This MicroK8s deployment is acting as a node in a cluster."
STOPPED = "microk8s is not running, try microk8s start\n"

# what the API server has, as kubectl prints it
KUBECTL = """#!/bin/sh
[ ! -e "$SNAP/down" ] || { echo refused >&2; exit 1; }
case "$*" in
  *"get all,"*) printf 'kube-system   pod/coredns-1   1/1\\ndefault   service/kubernetes\\n' ;;
  *"get all "*) echo 'default   service/kubernetes   ClusterIP' ;;
  *"get nodes -o json") echo '{"items": []}' ;;
  *"get node n9"*) echo 'Error from server (NotFound): nodes "n9" not found' >&2; exit 1 ;;
  *"get node "*) cat "$SNAP/node.json" ;;
  *"get nodes"*) echo 'n1   Ready    <none>   1m   v1.36.1' ;;
  *clusterroles*) ;;
  *) echo "kubectl $KUBECONFIG $*" ;;
esac
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node as it is after its installation, with programs that only answer."""
    snap, data, common = tmp_path / "snap", tmp_path / "data", tmp_path / "common"
    for name, value in (("SNAP", snap), ("SNAP_DATA", data), ("SNAP_COMMON", common)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("SNAP_REVISION", "7449")
    monkeypatch.setenv("SNAP_VERSION", "v1.36.1")
    for folder in (
        snap / "bin",
        data / "args",
        data / "certs",
        data / "credentials",
        data / "var/lock",
        common / "addons/core",
    ):
        folder.mkdir(parents=True)
    for name in ("kubelet", "kube-apiserver", "kube-proxy", "cluster-agent", "kubectl", "ctr", "k8s-dqlite"):
        (data / "args" / name).write_text((SNAP / "default-args" / name).read_text())
    (common / "addons/core/addons.yaml").write_text((SNAP / "addons/core/addons.yaml").read_text())
    (data / "credentials/client.config").write_text("server: https://127.0.0.1:16443 127.0.0.1\nuser: admin\n")
    _program(snap / "kubectl", KUBECTL)
    _program(snap / "bin/helm", '#!/bin/sh\necho "helm $*"\n')
    _program(snap / "bin/ctr", '#!/bin/sh\necho "ctr $*"\n')
    monkeypatch.setattr(node, "addresses", lambda: ["172.17.0.1", "10.0.0.1"])
    monkeypatch.setattr(node, "default_address", lambda: "10.0.0.1")
    monkeypatch.setattr(system, "require_root", lambda: None)
    monkeypatch.setattr(system, "require_sudo", lambda: None)
    node.set_lock("ha-cluster")
    return tmp_path


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def microk8s(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a subcommand; return its status and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        status = commands.main(list(words))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def two_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """A datastore with two members, of which one votes."""
    listed = [
        datastore.Member(1, "10.0.0.1:19001", datastore.VOTER),
        datastore.Member(2, "10.0.0.2:19001", datastore.SPARE),
    ]
    monkeypatch.setattr(datastore, "members", lambda timeout=4.0: listed)
    monkeypatch.setattr(datastore, "own_address", lambda: "10.0.0.1:19001")


Run = Callable[..., tuple[int, str, str]]


# --- after `microk8s stop`, and on a worker ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("status", (0, STOPPED, "")),
        ("kubectl", (1, "", STOPPED)),
        ("helm", (1, "", STOPPED)),
        ("helm3", (1, "", STOPPED)),
        ("add-node", (1, "", STOPPED)),
        ("leave", (1, "", STOPPED)),
        ("enable", (1, "", STOPPED)),
        ("disable", (1, "", STOPPED)),
    ],
)
def test_stopped(microk8s: Run, command: str, wanted: tuple[int, str, str]) -> None:
    node.set_lock("stopped.lock")
    assert microk8s(command) == wanted


def test_config_works_where_microk8s_is_stopped(microk8s: Run) -> None:
    node.set_lock("stopped.lock")
    assert microk8s("config")[0] == 0


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        ("status", 0, f"{CLUSTER}\nPlease use the control plane node.\n"),
        ("kubectl", 0, f"{CLUSTER} Please use the microk8s kubectl on the master.\n"),
        ("helm", 0, f"{CLUSTER} Please use the microk8s helm on the master.\n"),
        ("helm3", 0, f"{CLUSTER} Please use the microk8s helm on the master.\n"),
        ("config", 0, f"{CLUSTER} Please use the microk8s config on the master.\n"),
        ("add-node", 1, f"{CLUSTER} Please use the microk8s add-node on the master.\n"),
        ("remove-node", 1, f"{CLUSTER} Please use microk8s leave.\n"),
        ("enable", 1, f"{CLUSTER}\nPlease use the master node.\n"),
        ("disable", 1, f"{CLUSTER}\nPlease use the master node.\n"),
        ("start", 0, f"{CLUSTER}\nUse 'snap start microk8s' to start services on this node.\n"),
        ("stop", 0, f"{CLUSTER}\nUse 'snap stop microk8s' to stop services on this node.\n"),
    ],
)
def test_on_a_worker(microk8s: Run, command: str, status: int, text: str) -> None:
    node.set_lock("clustered.lock")
    assert microk8s(command) == (status, text, "")


def test_refresh_certs_on_a_worker_is_no_failure(microk8s: Run) -> None:
    node.set_lock("clustered.lock")
    status, text, _ = microk8s("refresh-certs")
    assert (status, len(text.splitlines())) == (0, 2)


def test_without_permission(microk8s: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, text, error = microk8s("kubectl")
    assert (status, text, error.splitlines()[0]) == (1, "", "Insufficient permissions to access MicroK8s.")


# --- the command itself -----------------------------------------------------------------------------------------------


def test_without_words_it_lists_its_commands_and_fails(microk8s: Run) -> None:
    status, text, _ = microk8s()
    assert (status, text.splitlines()[0]) == (1, "Available subcommands are:")


def test_an_unknown_command(microk8s: Run) -> None:
    status, text, _ = microk8s("foo")
    assert (status, text.splitlines()[0]) == (1, "'foo' is not a valid MicroK8s subcommand.")


def test_version(microk8s: Run) -> None:
    assert microk8s("version") == (0, "MicroK8s v1.36.1 revision 7449\n", "")


def test_config_has_the_default_address_once_a_line_and_a_blank_line(microk8s: Run) -> None:
    assert microk8s("config") == (0, "server: https://10.0.0.1:16443 127.0.0.1\nuser: admin\n\n", "")
    assert microk8s("config", "-l")[1].startswith("server: https://127.0.0.1:16443")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["kubectl", "version"], "kubectl "),
        (["helm3", "list", "-A"], "helm list -A --kubeconfig="),
        (["ctr", "version"], "ctr --address="),
    ],
)
def test_programs_take_over(home: Path, words: list[str], begins: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert done.stdout.startswith(begins), done.stderr
    assert words[0] != "kubectl" or str(home / "data/credentials/client.config") in done.stdout


# --- status -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two_members")
def test_status(microk8s: Run) -> None:
    status, text, _ = microk8s("status")
    assert status == 0
    assert text.splitlines()[:6] == [
        "microk8s is running",
        "high-availability: no",
        "  datastore master nodes: 10.0.0.1:19001",
        "  datastore standby nodes: none",
        "addons:",
        "  enabled:",
    ]
    assert "    dns                  # (core) CoreDNS" in text.splitlines()


@pytest.mark.usefixtures("two_members")
def test_status_as_yaml_is_yaml(microk8s: Run) -> None:
    status, text, _ = microk8s("status", "--format", "yaml")
    shown = yaml.safe_load(text)
    assert status == 0
    assert shown["microk8s"] == {"running": True}
    assert shown["high-availability"]["nodes"][1] == {"address": "10.0.0.2:19001", "role": "spare"}
    assert {each["name"]: each["status"] for each in shown["addons"]}["dns"] == "enabled"
    assert [each["name"] for each in shown["addons"]].count("rbac") == 1


@pytest.mark.usefixtures("two_members")
def test_status_where_nothing_runs_fails_and_has_its_message_in_the_wrong_place(microk8s: Run, home: Path) -> None:
    (home / "snap/down").touch()
    assert microk8s("status") == (1, "microk8s is not running. Use microk8s inspect for a deeper inspection.\n", "")
    status, text, _ = microk8s("status", "--format", "yaml")
    assert (status, "message" in yaml.safe_load(text)["high-availability"]) == (1, True)


def test_status_of_one_addon(microk8s: Run) -> None:
    assert microk8s("status", "-a", "dns") == (0, "enabled\n", "")
    assert microk8s("status", "-a", "rbac") == (0, "disabled\n", "")
    assert microk8s("status", "-a", "no-such-addon") == (0, "disabled\n", "")


def test_waiting_for_ready_has_an_end(microk8s: Run, home: Path) -> None:
    (home / "snap/down").touch()
    assert microk8s("status", "--wait-ready", "--timeout", "1", "--format", "short")[0] == 1


# --- add-node ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any certificate."""
    monkeypatch.setattr(certificates, "fingerprint", lambda pem: "c" * 64)
    node.certificate("server.crt").write_text("x")


@pytest.mark.usefixtures("server_certificate")
def test_add_node_lists_addresses_as_the_host_does(microk8s: Run) -> None:
    status, text, _ = microk8s("add-node", "--format", "json")
    shown = json.loads(text)
    token = shown["token"].partition("/")[0]
    assert status == 0
    assert shown == {
        "token": f"{token}/cccccccccccc",
        "urls": [f"172.17.0.1:25000/{token}/cccccccccccc", f"10.0.0.1:25000/{token}/cccccccccccc"],
    }
    assert node.credential("cluster-tokens.txt").read_text() == f"{token}\n"


@pytest.mark.usefixtures("server_certificate")
def test_add_node_for_people(microk8s: Run) -> None:
    url = f"{'t' * 32}/cccccccccccc"
    assert microk8s("add-node", "--token", "t" * 32)[1] == (
        "From the node you wish to join to this cluster, run the following:\n"
        f"microk8s join 10.0.0.1:25000/{url}\n\n"
        "Use the '--worker' flag to join a node as a worker not running the control plane, eg:\n"
        f"microk8s join 10.0.0.1:25000/{url} --worker\n\n"
        "If the node you are adding is not reachable through the default interface you can use one of the following:\n"
        f"microk8s join 172.17.0.1:25000/{url}\nmicrok8s join 10.0.0.1:25000/{url}\n"
    )
    assert microk8s("add-node", "--token", "t" * 32, "--format", "token")[1] == "t" * 32 + "\n"
    assert (
        microk8s("add-node", "--token", "t" * 32, "--format", "short")[1].splitlines()[0]
        == f"microk8s join 10.0.0.1:25000/{url}"
    )


def test_add_node_refuses_a_short_token(microk8s: Run) -> None:
    assert microk8s("add-node", "--token", "short") == (1, "Invalid token size.  It must be 32 characters long.\n", "")


def test_a_token_is_for_one_use_or_until_it_expires() -> None:
    now = int(time.time())
    node.write_private(node.credential(tokens.CLUSTER), f"once\nold|{now - 5}\nlasting|{now + 100}\n")
    assert [tokens.consume_cluster_token(each) for each in ("once", "once", "old", "lasting", "lasting", "")] == [
        *(True, False, False, True, True, False)
    ]


# --- join: what a member answers --------------------------------------------------------------------------------------


def _ask(body: dict[str, object], contacted: str = "10.0.0.1:25000", remote: str = "10.0.0.3") -> tuple[int, str]:
    node.write_private(node.credential(tokens.CLUSTER), "good\n")
    try:
        agent.join({"token": "good", "port": "25000", "hostname": "n3", **body}, contacted, remote)
    except agent.RefusedError as refusal:
        return refusal.status, str(refusal)
    return 200, ""


@pytest.mark.usefixtures("two_members")
@pytest.mark.parametrize(
    ("body", "remote", "wanted"),
    [
        ({"token": "bad"}, "10.0.0.3", (500, "invalid token")),
        ({"port": "1"}, "10.0.0.3", (502, "the port of the cluster agent port has to be set to 25000")),
        ({}, "10.0.0.1", (503, "the joining node has the same IP (10.0.0.1) as the node we contact")),
        (
            {},
            "10.0.0.2",
            (500, "failed to retrieve dqlite cluster nodes: the joining node (10.0.0.2) is already known to dqlite"),
        ),
    ],
)
def test_a_member_refuses(body: dict[str, object], remote: str, wanted: tuple[int, str]) -> None:
    assert _ask(body, remote=remote) == wanted


@pytest.mark.usefixtures("two_members")
def test_the_token_is_spent_whatever_comes_of_it() -> None:
    _ask({"port": "1"})
    assert not tokens.consume_cluster_token("good")


@pytest.mark.usefixtures("two_members")
def test_a_hostname_must_resolve_only_where_addresses_are_not_preferred() -> None:
    arguments.update("kube-apiserver", {"--kubelet-preferred-address-types": "Hostname,InternalIP"})
    wanted = (
        'the hostname (no-such-host.invalid) of the joining node does not resolve to the IP "10.0.0.3". Refusing join'
    )
    assert _ask({"hostname": "no-such-host.invalid"}) == (400, wanted)


def test_the_first_join_by_an_address_that_is_not_the_members_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datastore, "members", lambda: [datastore.Member(1, datastore.LOCAL, datastore.VOTER)])
    status, message = _ask({}, contacted="192.0.2.7:25000")
    assert status == 500
    assert "failed to find matching dqlite bind address for 192.0.2.7:25000" in message
    assert message.endswith("refuse to update dqlite bind address to 192.0.2.7 as it would break the cluster")


# --- join, leave, remove-node: what the command says ------------------------------------------------------------------


def test_join_refuses_what_is_no_url(microk8s: Run) -> None:
    assert microk8s("join", "n1:25000/" + "t" * 32) == (1, "Invalid connection: Invalid master IP\n", "")
    assert not node.locked("join-in-progress")


def test_join_of_a_host_that_does_not_answer_fails_and_leaves_its_lock(microk8s: Run) -> None:
    with pytest.raises(OSError, match="refused"):
        microk8s("join", "127.0.0.1:1/" + "t" * 32)
    assert node.locked("join-in-progress")


def test_leave_of_a_node_that_is_in_no_cluster(microk8s: Run) -> None:
    assert microk8s("leave") == (1, "This MicroK8s deployment is not acting as a node in a cluster.\n", "")


@pytest.mark.usefixtures("two_members")
def test_the_only_voter_does_not_leave_the_others(microk8s: Run) -> None:
    node.set_lock("no-cert-reissue")
    status, text, _ = microk8s("leave")
    assert (status, text.splitlines()[0]) == (
        3,
        "This node currently holds the only copy of the Kubernetes database so it cannot leave the cluster.",
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Please provide the node you want to remove.\n"),
        (["n2", "--now"], "Please provide the node and the optional --force flag.\n"),
        (["n9"], "Node n9 does not exist in Kubernetes.\n"),
    ],
)
def test_remove_node_refuses(microk8s: Run, words: list[str], text: str) -> None:
    status, printed, _ = microk8s("remove-node", *words)
    assert (status, printed) == (1, text)


@pytest.mark.usefixtures("two_members")
def test_remove_node_asks_to_leave_first(microk8s: Run, home: Path) -> None:
    _describe_node(home, "n2", "10.0.0.2")
    status, text, _ = microk8s("remove-node", "n2")
    assert status == 1
    assert text.startswith("Removal failed. Node n2 is registered with dqlite. Please, run first 'microk8s leave'")


@pytest.mark.usefixtures("two_members")
def test_a_worker_is_removed_without_a_word(microk8s: Run, home: Path) -> None:
    _describe_node(home, "n3", "10.0.0.3")
    assert microk8s("remove-node", "n3") == (0, "", "")


def _describe_node(home: Path, name: str, address: str) -> None:
    described = {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}
    (home / "snap/node.json").write_text(json.dumps(described))


# --- enable, disable, addons ------------------------------------------------------------------------------------------


def test_enable_what_is_enabled(microk8s: Run) -> None:
    wanted = (0, "Addon core/dns is already enabled\n", "Infer repository core for addon dns\n")
    assert microk8s("enable", "dns") == wanted


def test_enable_what_is_nowhere(microk8s: Run) -> None:
    assert microk8s("enable", "foo") == (1, "", "Addon foo was not found in any repository\n")
    assert microk8s("enable", "core/foo") == (0, "Addon core/foo not found\n", "")


def test_enable_nvidia_ends_well_whatever_became_of_it(microk8s: Run, home: Path) -> None:
    (home / "snap/addons/core/manifests").mkdir(parents=True)
    (home / "snap/addons/core/manifests/nvidia.yaml").write_text("")
    status, text, error = microk8s("enable", "nvidia")
    assert (status, text.splitlines()[-1], error) == (
        0,
        "Deployed NVIDIA GPU operator",
        "Infer repository core for addon nvidia\n",
    )


def test_several_addons_at_once_are_warned_of(microk8s: Run) -> None:
    assert microk8s("enable", "dns", "helm")[1].startswith(
        "WARNING: Do not enable or disable multiple addons in one command.\n"
    )


def test_repositories(microk8s: Run) -> None:
    first, second = microk8s("addons", "repo", "list")[1].splitlines()
    assert first == "REPO       ADDONS SOURCE"
    assert second.startswith("core           23 /snap/microk8s/current/addons/core@")


# --- certificates -----------------------------------------------------------------------------------------------------


def test_certificates_tell_the_days_they_have_left(microk8s: Run) -> None:
    node.certificate("csr.conf.template").write_text((SNAP / "certs/csr.conf.template").read_text())
    assert certificates.produce()
    assert not certificates.produce()
    assert microk8s("refresh-certs", "-c") == (
        0,
        "The CA certificate will expire in 3649 days.\n"
        "The server certificate will expire in 364 days.\n"
        "The front proxy client certificate will expire in 364 days.\n",
        "",
    )


def test_there_is_nothing_to_put_back(microk8s: Run) -> None:
    assert microk8s("refresh-certs", "-u") == (1, "No previous backup found\n", "")


def test_another_authority_makes_the_servers_certificate_anew() -> None:
    node.certificate("csr.conf.template").write_text((SNAP / "certs/csr.conf.template").read_text())
    certificates.produce()
    assert not certificates.ensure_server_is_ours()
    node.certificate("ca.crt").unlink()
    certificates.self_signed("front-proxy-ca")
    system.run("openssl", "genrsa", "-out", node.certificate("ca.key"), "2048")
    certificates.self_signed("ca")
    assert certificates.ensure_server_is_ours()
    assert not certificates.ensure_server_is_ours()
