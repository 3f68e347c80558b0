from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import groundwork
from groundwork import processes
from groundwork.result import Counts, Event, Failure, Result

Write = Callable[[str, str], Path]
PLANTED = "planted-Geheimnis-7"

MANY_ENDS = """\
- name: Many ends
  hosts: all
  gather_facts: false
  tasks:
    - name: Something that is mended
      block:
        - name: Fail and be rescued
          ansible.builtin.command: /bin/false
      rescue:
        - name: Mend
          ansible.builtin.debug: {msg: mended}

    - name: Be ignored
      ansible.builtin.command: sh -c 'echo why >&2; exit 3'
      ignore_errors: true

    - name: Be skipped
      ansible.builtin.debug: {}
      when: false

    - name: Fail with a secret in a loop
      ansible.builtin.command: sh -c 'echo {{ item }} >&2; exit 1'
      loop: ["{{ secret }}"]
      no_log: true
      ignore_errors: true

    - name: Fail at two items
      ansible.builtin.command: sh -c 'echo item {{ item }} >&2; exit {{ item }}'
      loop: [0, 1, 2]
      ignore_errors: true

    - name: Hide why
      ansible.builtin.fail: {msg: "{{ secret }}"}
      no_log: true

- name: Nobody is left
  hosts: all
  tasks:
    - name: Never
      ansible.builtin.debug: {}
"""
ONE_IS_AWAY = """\
all:
  hosts:
    here: {ansible_connection: local}
    away: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_connection: ssh, ansible_ssh_retries: 0}
"""


class Follower:
    """Keeps the events, and the command lines that ran at each of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.command_lines = ""

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        for process in processes.tree(f"PYTEST_CURRENT_TEST={os.environ['PYTEST_CURRENT_TEST']}"):
            try:
                self.command_lines += Path(f"/proc/{process.pid}/cmdline").read_text()
            except OSError:
                continue

    def of(self, kind: str) -> list[tuple[str, str]]:
        return [(event.host, event.task) for event in self.events if event.kind == kind]


def files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def test_every_end_of_a_task_is_told_and_what_failed_for_good_is_data(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    follower = Follower()
    result = groundwork.run(
        write("many.yml", MANY_ENDS),
        write("hosts.yml", ONE_IS_AWAY),
        extra_vars={"secret": PLANTED},
        on_event=follower,
        artifacts=tmp_path / "kept",
    )

    assert (result.ok, result.status, result.rc) == (False, "failed", 4)
    assert result.hosts["here"] == Counts(ok=4, changed=3, failed=1, skipped=1, rescued=1, ignored=3)
    assert result.hosts["away"] == Counts(unreachable=1)
    away, here = sorted(result.failures, key=lambda failure: failure.host)
    assert (away.kind, away.host, away.task) == ("unreachable", "away", "Fail and be rescued")
    assert "Connection refused" in away.message
    assert "ansible away -m ping" in away.remedy
    assert (here.kind, here.host, here.play, here.task) == ("task", "here", "Many ends", "Hide why")
    assert "no_log" in here.message
    assert here.where == f"{tmp_path}/many.yml:32"

    assert follower.of("play") == [("", "")]
    assert follower.of("failed") == [("here", "Fail and be rescued"), ("here", "Hide why")]
    assert follower.of("unreachable") == [("away", "Fail and be rescued")]
    assert follower.of("skipped") == [("here", "Be skipped")]
    assert [task for _, task in follower.of("ignored")] == [
        "Be ignored",
        "Fail with a secret in a loop",
        "Fail at two items",
    ]
    messages = {event.task: event.message for event in follower.events if event.kind == "ignored"}
    assert messages["Be ignored"] == "non-zero return code\nwhy"
    assert messages["Fail at two items"].splitlines()[1:] == [
        "1: non-zero return code",
        "item 1",
        "2: non-zero return code",
        "item 2",
    ]

    # The secret: on no command line, in nothing that is told, in no file that is left.
    assert "ansible-playbook" in follower.command_lines
    assert "env/extravars" in follower.command_lines
    assert PLANTED not in follower.command_lines
    assert PLANTED not in f"{result}{result.to_dict()}{follower.events}"
    assert result.artifacts
    assert stat.S_IMODE(result.artifacts.stat().st_mode) == 0o700
    assert any(files(result.artifacts))
    assert [path for path in files(tmp_path) if PLANTED in path.read_text(errors="replace")] == []


def test_nothing_is_kept_unless_asked_for_and_what_passes_is_private(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    looked: list[tuple[int, bool, str]] = []

    def look(_: Event) -> None:
        (private,) = tmp_path.glob("run-*")
        settings = next(private.glob("artifacts/run/command")).read_text()
        looked.append((stat.S_IMODE(private.stat().st_mode), (private / "env/extravars").exists(), settings))

    playbook = write(
        "show.yml",
        """\
- name: Show
  hosts: all
  gather_facts: false
  tasks:
    - name: Show a variable that is no secret here
      ansible.builtin.debug: {var: secret}
""",
    )
    inventory = write("hosts.yml", "all: {hosts: {a: {ansible_connection: local}}}\n")
    monkeypatch.setenv("JOB_ID", "of-another-program")
    result = groundwork.run(playbook, inventory, extra_vars={"secret": PLANTED}, on_event=look)
    assert result.ok, result
    assert result.artifacts is None
    assert {mode for mode, _, _ in looked} == {0o700}
    assert not any(variables for _, variables, _ in looked), "read by Ansible before the first step is told"
    assert all(PLANTED not in settings for _, _, settings in looked)
    root = Path(groundwork.__file__).resolve().parents[1]
    assert f'"ANSIBLE_CONFIG": "{root}/ansible.cfg"' in looked[0][2]
    for not_ours in ("ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_CACHE_PLUGIN", "JOB_ID"):
        assert f'"{not_ours}"' not in looked[0][2]
    assert list(tmp_path.glob("run-*")) == []


def test_check_mode_changes_nothing_and_says_what_would_be_changed(write: Write, local: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    playbook = write(
        "copy.yml",
        f"""\
- name: Copy
  hosts: a
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy: {{content: "new\\n", dest: "{target}", mode: "0600"}}
""",
    )
    told: list[Event] = []
    before = groundwork.run(playbook, local, check=True, diff=True, on_event=told.append)
    assert (before.ok, before.changed, target.exists()) == (True, 1, False)
    (change,) = [event for event in told if event.kind == "changed"]
    assert change.diff[0]["after"] == "new\n"
    assert groundwork.run(playbook, local, limit=["a", "b"]).changed == 1
    assert target.read_text() == "new\n"


def test_faults_of_preflight_are_told_host_by_host_with_their_remedies(write: Write, local: Path) -> None:
    """The project's own role: its name in the playbook shows too that ansible.cfg is read."""
    playbook = write(
        "preflight.yml",
        """\
- name: Check
  hosts: all
  gather_facts: false
  tasks:
    - name: A role found faults
      ansible.builtin.set_fact:
        __some_preflight_checks:
          - name: some.memory_is_enough
            status: failed
            observed: "1 GiB on {{ inventory_hostname }}"
            wanted: 4 GiB
            remedy: Add memory.
          - {name: some.clock_is_right, status: failed, observed: late, wanted: in time, remedy: Set the clock.}
          - {name: some.disk_is_large, status: ok, observed: large, wanted: large, remedy: ""}

    - name: Show every fault at once
      ansible.builtin.include_role: {name: preflight, tasks_from: run}
""",
    )
    result = groundwork.run(playbook, local, extra_vars={"preflight_allow_failed": ["some.clock_is_right"]})
    assert {(failure.host, failure.check, failure.message, failure.remedy) for failure in result.failures} == {
        (host, "some.memory_is_enough", f"1 GiB on {host}", "Add memory.") for host in "ab"
    }
    assert {(failure.kind, failure.role, failure.wanted) for failure in result.failures} == {
        ("check", "preflight", "4 GiB")
    }
    names = ["some.clock_is_right", "some.memory_is_enough"]
    assert groundwork.run(playbook, local, extra_vars={"preflight_allow_failed": names}).ok


def test_the_report_that_a_run_wrote_comes_with_its_failed_checks(write: Write, local: Path, tmp_path: Path) -> None:
    playbook = write(
        "report.yml",
        """\
- name: Report
  hosts: all
  gather_facts: false
  tasks:
    - name: A role verified
      ansible.builtin.set_fact:
        __some_checks:
          - {name: some.is_fine, status: ok, observed: fine, wanted: fine, remedy: ""}
          - {name: some.is_whole, status: failed, observed: broken, wanted: whole, remedy: Mend it.}

    - name: Gather facts
      ansible.builtin.include_role: {name: site, tasks_from: facts}

    - name: Report
      ansible.builtin.include_role: {name: site, tasks_from: report}
""",
    )
    variables = {"site_cluster_name": "mine", "site_artifacts_directory": str(tmp_path), "site_admin_host": "a"}
    result = groundwork.run(playbook, local, extra_vars=variables)
    assert result.report
    assert result.report.path == tmp_path / "mine/report.json"
    assert (result.report.ok, result.report.cluster, result.report.counts["failed"]) == (False, "mine", 2)
    assert {(failure.host, failure.check, failure.remedy) for failure in result.failures} == {
        (host, "some.is_whole", "Mend it.") for host in "ab"
    }
    assert groundwork.newest(tmp_path) == result.report == groundwork.newest(tmp_path, "mine")
    assert result.to_dict()["report"]["schema"] == 1
    (tmp_path / "mine/report.json").unlink()
    assert groundwork.run(playbook, local, extra_vars=variables, check=True).report is None


def test_what_ansible_itself_refuses_is_a_failure_of_the_run(write: Write, local: Path) -> None:
    playbook = write("bad.yml", "- name: Bad\n  hosts: all\n  tasks:\n    - no_such_module: {}\n")
    result = groundwork.run(playbook, local)
    (failure,) = result.failures
    assert (failure.kind, failure.host) == ("run", "")
    assert failure.message.startswith("[ERROR]: couldn't resolve module/action 'no_such_module'")
    assert not result.ok


def test_a_run_without_a_host_is_no_success(write: Write, local: Path) -> None:
    result = groundwork.run(write("none.yml", "- name: None\n  hosts: no_such_group\n  tasks: []\n"), local)
    (failure,) = result.failures
    assert (result.ok, result.rc, failure.kind) == (False, 0, "run")
    assert "--limit" in failure.remedy


def running(words: str) -> list[str]:
    """The command lines of this machine's processes that hold these words."""
    lines = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if words in line and not line.startswith("Z")]


def await_that(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def unique(sleep: Path, seconds: int) -> str:
    """Let the playbook sleep as long as no other one does, and say by which words it is found."""
    sleep.write_text(sleep.read_text().replace("3611", str(seconds)))
    return f"sleep {seconds}"


def test_a_cancelled_run_ends_all_it_started(sleep: Path, local: Path) -> None:
    words = unique(sleep, 3612)
    result = groundwork.run(sleep, local, cancel=lambda: len(running(words)) == 2)
    assert (result.ok, result.status, result.rc, result.failures) == (False, "canceled", 254, ())
    assert running(words) == []


def test_an_interrupt_passes_on_and_ends_all_that_was_started(sleep: Path, local: Path) -> None:
    words = unique(sleep, 3613)

    def interrupt() -> bool:
        if running(words):
            raise KeyboardInterrupt
        return False

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        groundwork.run(sleep, local, cancel=interrupt)
    assert running(words) == []
    assert threading.active_count() == threads


def test_a_terminated_command_ends_all_it_started(sleep: Path, local: Path, tmp_path: Path) -> None:
    words = unique(sleep, 3614)
    command = [sys.executable, "-m", "groundwork", "run", str(sleep), "-i", str(local)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        await_that(lambda: len(running(words)) == 2, "the playbook's two processes")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Wait" in said
    assert "Interrupted" in said
    assert running(words) == []
    assert list(tmp_path.glob("run-*")) == []


def test_a_run_that_somebody_kills_is_a_failure_and_leaves_nothing(sleep: Path, local: Path) -> None:
    words = unique(sleep, 3615)

    def kill() -> bool:
        if len(running(words)) == 2:
            mark = f"PYTEST_CURRENT_TEST={os.environ['PYTEST_CURRENT_TEST']}"
            for process in processes.tree(mark):  # none, when it is asked again before the others have ended
                if process.parent == os.getpid():
                    os.kill(process.pid, signal.SIGKILL)
        return False

    result = groundwork.run(sleep, local, cancel=kill)
    assert (result.ok, result.status, result.rc) == (False, "failed", 254)
    assert [failure.kind for failure in result.failures] == ["run"]
    assert running(words) == []


def test_two_sites_at_once_do_not_mix(write: Write, local: Path) -> None:
    playbook = write(
        "name.yml",
        """\
- name: "{{ site }}"
  hosts: a
  gather_facts: false
  tasks:
    - name: Fail by name
      ansible.builtin.fail: {msg: "{{ site }}"}
""",
    )

    def one(site: str) -> tuple[set[str], Result]:
        plays: set[str] = set()
        result = groundwork.run(
            playbook, local, extra_vars={"site": site}, on_event=lambda event: plays.add(event.play)
        )
        return plays, result

    with ThreadPoolExecutor(2) as pool:
        for site, (plays, result) in zip(("left", "right"), pool.map(one, ("left", "right")), strict=True):
            assert plays == {site}
            assert [failure.message for failure in result.failures] == [site]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"playbook": "no-such.yml"}, "no-such.yml"),
        ({"inventory": "no-such-inventory"}, "no-such-inventory"),
        ({"inventory": ()}, "inventory"),
        ({"extra_vars": {"a": object()}}, "JSON"),
    ],
)
def test_what_cannot_be_begun_is_an_error_with_a_remedy(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(groundwork.UsageError, match=word) as error:
        groundwork.run(**{"inventory": "localhost,", **arguments})
    assert error.value.remedy


def test_failures_are_values() -> None:
    assert Failure("run", "x") == Failure("run", "x")
    assert len({Failure("run", "x"), Failure("run", "x")}) == 1
