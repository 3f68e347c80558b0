"""Tokens, joining and leaving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s import member, membership, refusals, token
from ansible.module_utils.groundwork.microk8s.member import Action, State, Wanted
from ansible.module_utils.groundwork.microk8s.membership import Membership
from ansible.module_utils.groundwork.microk8s.paths import Paths

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.microk8s import texts
from tests.unit.module_utils.microk8s.nodes_on_disk import installed
from tests.unit.module_utils.microk8s.test_microk8s_nodes import item, listed

URL = f"10.77.0.11:25000/{texts.JOIN_BY}"
JOIN, LEAVE, KUBECTL = "/snap/bin/microk8s join", "/snap/bin/microk8s leave", "/snap/bin/microk8s kubectl"
QUIET = {"snap changes": Output(0, texts.CHANGES_DONE)}
WORKER = Wanted(present=True, role="worker", url=URL)
CONTROL_PLANE = Wanted(present=True, role="control_plane", url=URL)
ABSENT = Wanted(present=False, role="control_plane")


@pytest.fixture(autouse=True)
def hostname(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "n1")


def state(role: membership.Role, *, clustered: bool = False, joining: bool = False, stopped: bool = False) -> State:
    return State(Membership(role, clustered, joining, stopped))


@pytest.mark.parametrize(
    ("found", "wanted", "actions"),
    [
        (state("control_plane"), WORKER, ["join"]),
        (state("control_plane"), CONTROL_PLANE, ["join"]),
        (state("worker", clustered=True), WORKER, []),
        (state("control_plane", clustered=True), CONTROL_PLANE, []),
        (state("control_plane", joining=True), CONTROL_PLANE, ["forget_failed_join", "join"]),
        (state("control_plane", clustered=True, joining=True), CONTROL_PLANE, ["forget_failed_join", "join"]),
        (state("worker", clustered=True, joining=True), WORKER, ["forget_failed_join", "join"]),
        (state("control_plane"), ABSENT, []),
        (state("control_plane", joining=True), ABSENT, ["forget_failed_join"]),
        (state("worker", clustered=True), ABSENT, ["leave"]),
        (state("control_plane", clustered=True), ABSENT, ["leave"]),
    ],
)
def test_plan(found: State, wanted: Wanted, actions: list[Action]) -> None:
    assert member.plan(found, wanted) == actions


@pytest.mark.parametrize(
    ("found", "wanted", "message", "remedy"),
    [
        (state("control_plane", stopped=True), WORKER, "MicroK8s is stopped", "microk8s start"),
        (state("control_plane", clustered=True), WORKER, "as control_plane, not as worker", "microk8s leave"),
        (state("worker", clustered=True), CONTROL_PLANE, "as worker, not as control_plane", "remove-node"),
        (
            State(Membership("control_plane", True, False, False), ("n2", "n3")),
            ABSENT,
            "the only control plane of n2, n3",
            "Remove those nodes first",
        ),
        (
            State(Membership("control_plane", True, False, False), (), "connection refused"),
            ABSENT,
            "Cannot see whether other nodes hang on this",
            "Bring its API server up",
        ),
    ],
)
def test_what_only_a_person_may_decide_is_refused(found: State, wanted: Wanted, message: str, remedy: str) -> None:
    with pytest.raises(GroundworkError, match=message) as refused:
        member.plan(found, wanted)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("nodes", "others"),
    [
        ([item("n1")], ()),
        ([item("n1"), item("n2", worker=True), item("n3", worker=True)], ("n2", "n3")),
        ([item("n1"), item("n2"), item("n3", worker=True)], ()),
    ],
)
def test_the_last_control_plane_is_seen(
    tmp_path: Path, nodes: list[dict[str, object]], others: tuple[str, ...]
) -> None:
    paths = installed(tmp_path, "no-cert-reissue")
    found = member.observe(Commands({KUBECTL: Output(0, listed(*nodes))}), paths)
    assert found.last_control_plane_of == others


@pytest.mark.parametrize("locks", [(), ("clustered.lock",)])
def test_a_lone_node_and_a_worker_need_not_ask_the_api(tmp_path: Path, locks: tuple[str, ...]) -> None:
    commands = Commands({})
    member.observe(commands, installed(tmp_path, *locks))
    assert commands.asked == []


def test_a_host_without_microk8s_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroundworkError, match="not installed") as refused:
        member.observe(Commands({}), Paths(tmp_path))
    assert "microk8s_node" in refused.value.remedy


def joining(paths: Paths, output: Output, *locks: str) -> Callable[[], Output]:
    """A join that leaves locks behind, whatever it says."""

    def join() -> Output:
        for name in locks:
            (paths.locks / name).touch()
        return output

    return join


def test_joining_as_a_worker(tmp_path: Path) -> None:
    paths = installed(tmp_path)
    joined = joining(paths, Output(0, texts.JOINED_WORKER), "clustered.lock", "no-cert-reissue")
    commands = Commands({**QUIET, JOIN: joined})
    member.apply("join", commands, paths, WORKER, 5)
    assert commands.asked == ["snap changes", f"/snap/bin/microk8s join {URL} --worker"]


def test_joining_as_a_control_plane(tmp_path: Path) -> None:
    paths = installed(tmp_path)
    commands = Commands({**QUIET, JOIN: joining(paths, Output(0, texts.JOINED), "no-cert-reissue")})
    member.apply("join", commands, paths, CONTROL_PLANE, 5)
    assert commands.asked[-1] == f"/snap/bin/microk8s join {URL}"


@pytest.mark.parametrize(
    ("output", "locks", "remedy"),
    [
        (Output(6, "Connection failed. Invalid token (500).\n"), (), "fresh one"),
        (Output(1, "", texts.JOIN_TRACEBACK), ("join-in-progress",), "port 25000"),
        (Output(1, "", texts.JOIN_BUSY), ("join-in-progress", "no-cert-reissue"), "snap changes"),
        # says success and returns 0, and is not: an unreachable datastore is ignored by join.py
        (Output(0, texts.JOINED), (), "microk8s inspect"),
        (Output(0, texts.JOINED), ("no-cert-reissue", "join-in-progress"), "microk8s inspect"),
        (Output(0, texts.JOINED_WORKER), ("clustered.lock",), "microk8s inspect"),
    ],
)
def test_a_join_counts_when_the_locks_say_so(
    tmp_path: Path, output: Output, locks: tuple[str, ...], remedy: str
) -> None:
    paths = installed(tmp_path)
    commands = Commands({**QUIET, JOIN: joining(paths, output, *locks)})
    with pytest.raises(GroundworkError, match="`microk8s join` did not succeed") as refused:
        member.apply("join", commands, paths, CONTROL_PLANE, 5)
    assert remedy in refused.value.remedy
    assert texts.JOIN_BY.split("/")[0] not in str(refused.value)


def test_without_a_url_nothing_is_tried(tmp_path: Path) -> None:
    commands = Commands({})
    with pytest.raises(GroundworkError, match="no url") as refused:
        member.apply("join", commands, installed(tmp_path), Wanted(present=True, role="worker"), 5)
    assert (commands.asked, "microk8s_token" in refused.value.remedy) == ([], True)


def test_a_busy_snapd_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    paths = installed(tmp_path)
    changes = [Output(0, texts.CHANGES), Output(0, texts.CHANGES), Output(0, texts.CHANGES_DONE)]
    commands = Commands({"snap changes": changes, JOIN: joining(paths, Output(0, texts.JOINED), "no-cert-reissue")})
    member.apply("join", commands, paths, CONTROL_PLANE, 5)
    assert commands.asked[:-1] == ["snap changes"] * 3


def test_a_snapd_that_stays_busy_is_named(tmp_path: Path) -> None:
    commands = Commands({"snap changes": Output(0, texts.CHANGES)})
    with pytest.raises(GroundworkError, match="snapd is still busy: Running service command"):
        member.apply("join", commands, installed(tmp_path), CONTROL_PLANE, 0.01)


def test_a_failed_join_is_forgotten_once_and_again(tmp_path: Path) -> None:
    paths = installed(tmp_path, "join-in-progress")
    for _ in range(2):
        member.apply("forget_failed_join", Commands({}), paths, WORKER, 5)
    assert not membership.observe(paths).join_in_progress


def test_leaving(tmp_path: Path) -> None:
    paths = installed(tmp_path, "clustered.lock", "no-cert-reissue")

    def leave() -> Output:
        for name in ("clustered.lock", "no-cert-reissue"):
            (paths.locks / name).unlink()
        return Output(0, texts.LEFT)

    member.apply("leave", Commands({**QUIET, LEAVE: leave}), paths, ABSENT, 5)
    assert not membership.observe(paths).clustered


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        (Output(3, texts.LEAVE_ONLY_VOTER), "Remove the other control-plane nodes first"),
        (Output(1, "", texts.STATUS_STOPPED), "microk8s start"),
        (Output(0, texts.LEFT), "microk8s inspect"),
    ],
)
def test_a_leave_counts_when_the_locks_say_so(tmp_path: Path, output: Output, remedy: str) -> None:
    paths = installed(tmp_path, "no-cert-reissue")
    with pytest.raises(GroundworkError, match="`microk8s leave` did not succeed") as refused:
        member.apply("leave", Commands({**QUIET, LEAVE: output}), paths, ABSENT, 5)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("found", "wanted", "actions", "before", "after"),
    [
        (state("control_plane"), WORKER, ["join"], "in no cluster\n", "worker\n"),
        (state("worker", clustered=True), WORKER, [], "worker\n", "worker\n"),
        (state("worker", clustered=True), ABSENT, ["leave"], "worker\n", "in no cluster\n"),
        (state("control_plane"), ABSENT, [], "in no cluster\n", "in no cluster\n"),
    ],
)
def test_the_diff_tells_the_nodes_part(
    found: State, wanted: Wanted, actions: list[Action], before: str, after: str
) -> None:
    assert member.diff(found, wanted, actions) == {"before": before, "after": after}


def test_a_token_is_chosen_by_address_not_by_place() -> None:
    assert token.choose(Output(0, texts.ADD_NODE), "10.77.0.11") == token.Token(texts.JOIN_BY, URL)


def test_the_token_lasts_as_long_as_asked() -> None:
    commands = Commands({"/snap/bin/microk8s add-node": Output(0, texts.ADD_NODE)})
    token.make(commands, "10.77.0.11", 900, 5)
    assert commands.asked == ["/snap/bin/microk8s add-node --format json --token-ttl 900"]


def test_an_address_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(GroundworkError, match=r"no address 10\.0\.0\.9") as refused:
        token.choose(Output(0, texts.ADD_NODE), "10.0.0.9")
    assert "10.77.0.11:25000" in refused.value.message
    assert texts.JOIN_BY not in str(refused.value)


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        (Output(1, texts.ADD_NODE_WORKER), "This is a worker"),
        (Output(1, "", texts.STATUS_STOPPED), "microk8s start"),
        (Output(0, ""), "microk8s inspect"),
    ],
)
def test_no_token_from_a_node_that_makes_none(output: Output, remedy: str) -> None:
    with pytest.raises(GroundworkError, match="`microk8s add-node` did not succeed") as refused:
        token.choose(output, "10.77.0.11")
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Connection failed. Invalid token (500).", "fresh one"),
        ("Failed to sign kubelet certificate (500). Invalid token", "fresh one"),
        (
            'Connection failed. The hostname (n2) of the joining node does not resolve to the IP "10.0.0.2". '
            "Refusing join (400).",
            "/etc/hosts",
        ),
        (
            "Connection failed. Failed to retrieve dqlite cluster nodes: the joining node (10.0.0.2) is already known "
            "to dqlite (500).",
            "remove-node ADDRESS --force",
        ),
        ("Connection failed. The joining node (10.0.0.2) is already known to dqlite (504).", "remove-node"),
        (
            "Connection failed. The joining node has the same IP (10.0.0.1) as the node we contact (503).",
            "another member",
        ),
        (
            "Joining cluster failed. Could not verify the identity of 10.0.0.1. Use '--skip-verify' to skip server "
            "certificate check.",
            "issued anew",
        ),
        (
            "Connection failed. Failed to retrieve dqlite cluster nodes: failed to find matching dqlite bind address "
            "for 10.0.0.9:25000: address 10.0.0.9 was not found in any host interface.",
            "virtual or translated",
        ),
        ("OSError: [Errno 113] No route to host", "port 25000"),
        ("something nobody has seen", "microk8s inspect"),
    ],
)
def test_every_refusal_has_its_remedy(text: str, remedy: str) -> None:
    error = refusals.refusal("join", Output(6, f"Contacting cluster at 10.0.0.1\n{text}\n"))
    assert remedy in error.remedy
    assert text in error.message


def test_a_silent_failure_tells_its_exit_code() -> None:
    assert "exit code 9" in refusals.refusal("join", Output(9)).message


def test_progress_is_no_last_word() -> None:
    assert refusals.last_words(Output(1, "Waiting. .. ..\n .. ..\n", "boom\n\n")) == "Waiting. .. .. boom"
