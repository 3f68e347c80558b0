"""What a cluster is asked beside what every cluster is asked."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.groundwork.support.cluster import State, observe, plan

Object = dict[str, Any]


def pod(namespace: str, name: str, *containers: Object, ready: bool = True, phase: str = "Running") -> Object:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": list(containers),
        },
    }


RUNS: Object = {"name": "main", "state": {"running": {}}, "restartCount": 0}
AGAIN: Object = {"name": "main", "state": {"running": {}}, "restartCount": 3}
WAITS: Object = {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0}


def names(state: State) -> list[str]:
    return [
        question.name
        for question in plan(state, 100)
        if "namespaces/" not in question.name or "/logs/" in question.name
    ]


def test_logs_of_our_pods_alone_and_of_what_they_were_before() -> None:
    state = State(["ray"], [pod("ray", "head", AGAIN), pod("ray", "late", WAITS), pod("team-a", "secretive", RUNS)], [])
    assert names(state) == ["namespaces/ray/logs/head/main.log", "namespaces/ray/logs/head/main.previous.log"]
    words = plan(state, 100)[-1].words
    assert words == ("logs", "--namespace", "ray", "head", "--container", "main", "--tail=100", "--previous")


def test_what_is_not_well_is_described_wherever_it_is() -> None:
    pods = [
        pod("team-a", "waits", WAITS, ready=False, phase="Pending"),
        pod("team-a", "done", ready=False, phase="Succeeded"),
    ]
    claims = [
        {"metadata": {"namespace": "team-a", "name": "data"}, "status": {"phase": "Pending"}},
        {"metadata": {"namespace": "team-a", "name": "fine"}, "status": {"phase": "Bound"}},
    ]
    assert names(State([], pods, claims)) == ["not-ready/pod-team-a-waits.txt", "not-ready/pvc-team-a-data.txt"]


def test_no_question_asks_for_secrets() -> None:
    state = State(["ray", "mlflow"], [pod("ray", "head", AGAIN, ready=False)], [])
    kinds = [word for question in plan(state, 1) for word in question.words[1].split(",") if question.words[0] == "get"]
    assert kinds
    assert not any("secret" in kind for kind in kinds)


class Api:
    """Three namespaces, one with our label, one that is named, one that is neither."""

    def get(self, path: str, **_query: str) -> Object:
        labels = {"ray": {"app.kubernetes.io/managed-by": "groundwork"}, "kube-system": {}, "team-a": None}
        items = [{"metadata": {"name": name, "labels": each}} for name, each in labels.items()]
        return {"items": items if path.endswith("namespaces") else []}


def test_ours_are_those_with_our_label_and_those_named() -> None:
    assert observe(Api(), ["kube-system", "not-there"]) == State(["kube-system", "ray"], [], [])
