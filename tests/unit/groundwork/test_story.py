"""Events as ansible-runner 2.4.1 wrote them, without the keys that are not read."""

from __future__ import annotations

from typing import Any

import pytest

from groundwork.result import Counts
from groundwork.story import NO_HOST, Story
from groundwork.text import differences


def event(name: str, host: str = "n1", task: str = "Work", **data: Any) -> dict[str, Any]:
    return {"event": name, "event_data": {"host": host, "task": task, "play": "Play", **data}}


def failed(task: str, host: str = "n1", **res: Any) -> dict[str, Any]:
    return event("runner_on_failed", host, task, res={"msg": task, **res}, ignore_errors=None)


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    return {"event": "playbook_on_stats", "event_data": counts}


def told(*events: dict[str, Any]) -> Story:
    story = Story()
    for raw in events:
        list(story.take(raw))
    return story


@pytest.mark.parametrize(
    ("end", "tasks"),
    [
        (stats(failures={}, rescued={"n1": 2}), []),
        (stats(failures={"n1": 1}, rescued={"n1": 1}), ["second"]),
        (stats(failures={"n1": 2}), ["first", "second"]),
        (stats(failures={"n2": 1}), []),
        (event("verbose"), ["first", "second"]),
    ],
    ids=["both rescued", "the first rescued", "none rescued", "not this host", "cut off before the counts"],
)
def test_rescued_failures_are_none(end: dict[str, Any], tasks: list[str]) -> None:
    story = told(failed("first"), failed("second"), end)
    assert [failure.task for failure in story.failures()] == tasks


def test_a_host_that_is_ignored_while_away_is_no_failure() -> None:
    away = event("runner_on_unreachable", res={"unreachable": True, "msg": "no route"})
    assert told(away, stats(dark={}, ok={"n1": 1}, ignored={"n1": 1})).failures() == ()
    assert len(told(away, stats(dark={"n1": 1})).failures()) == 1


def test_a_cut_off_run_is_counted_by_what_was_seen() -> None:
    story = told(
        event("runner_on_ok", res={"changed": True}),
        event("runner_on_ok", res={}),
        event("runner_on_skipped"),
        event("runner_on_failed", res={"msg": ""}, ignore_errors=True),
        failed("x", host="n2"),
    )
    assert story.counts() == {"n1": Counts(ok=3, changed=1, skipped=1, ignored=1), "n2": Counts(failed=1)}


@pytest.mark.parametrize(
    ("res", "message", "remedy"),
    [
        ({"msg": "It is broken. Mend it.", "remedy": "Mend it."}, "It is broken.", "Mend it."),
        ({"msg": "", "reason": "no such file"}, "no such file", ""),
        ({"msg": ["a", "b"]}, '["a", "b"]', ""),
        ({"msg": "bad", "module_stderr": "1\n2\n3\n4\n5\n6"}, "bad\n2\n3\n4\n5\n6", ""),
        ({"censored": "hidden", "msg": ""}, "failed; what it said is hidden, since it may hold secrets (no_log)", ""),
        ({"msg": "items", "results": [{"censored": "hidden", "failed": True}]}, "items", ""),
    ],
)
def test_messages_and_remedies(res: dict[str, Any], message: str, remedy: str) -> None:
    (failure,) = told(failed("x", **res)).failures()
    assert failure.message.splitlines()[0] == message.splitlines()[0]
    assert failure.message.startswith(message)
    assert failure.remedy == remedy


def test_why_a_run_without_a_failed_task_is_not_ok() -> None:
    lines = [{"event": "verbose", "stdout": line} for line in ("[WARNING]: x", "", "[ERROR]: The file is\r\nbroken")]
    (failure,) = told(*lines).why(4)
    assert failure.message == "[ERROR]: The file is\nbroken"
    assert told().why(1)[0].message == "ansible-playbook ended with status 1 and said nothing"
    assert told(stats(ok={})).why(0) == (NO_HOST,)
    assert told(stats(ok={"n1": 1})).why(0) == ()


def test_differences_are_lines() -> None:
    diffs = (
        {"before": "a\nb\n", "after": "a\nc\n", "before_header": "/etc/x"},
        {"prepared": "+ done\n"},
        {"before": {"state": "absent"}, "after": {"state": "present"}},
    )
    lines = list(differences(diffs))
    assert lines[0] == "--- /etc/x"
    assert {"-b", "+c", "+ done", "-state: absent", "+state: present"} <= set(lines)
