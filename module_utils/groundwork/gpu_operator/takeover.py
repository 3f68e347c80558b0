"""The whole of it in a cluster: look, judge, keep what the operator was told, and take it away step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu_operator import keep, verdicts
from ansible.module_utils.groundwork.gpu_operator.apply import Steps
from ansible.module_utils.groundwork.gpu_operator.model import State
from ansible.module_utils.groundwork.gpu_operator.observe import observe
from ansible.module_utils.groundwork.gpu_operator.plan import plan


@dataclass(frozen=True)
class Allowed:
    """What the takeover may do to running work."""

    disruption: bool
    reboot: bool


def run(steps: Steps, allowed: Allowed, kept: Path, change: bool) -> dict[str, Any]:
    """The module's answer; without `change` nothing is done.

    kept  where what the operator was told is written

    Raises GroundworkError where something stands in the way, or does not end in time.
    """
    cluster = steps.cluster
    state = observe(cluster)
    checks = verdicts.takeover(state, allowed.disruption, allowed.reboot)
    actions = plan(state)
    if change and actions:
        _refuse(checks)
        if state.traces:
            keep.keep(kept, keep.collect(cluster, state))
        for action in actions:
            steps.apply(action)
    return {
        "changed": bool(actions),
        "traces": list(state.traces),
        "actions": [str(action) for action in actions],
        "pods": [dataclasses.asdict(pod) for pod in state.pods] if state.traces else [],
        "checks": [check.to_dict() for check in checks],
        "none_is_left": verdicts.gone(state).to_dict(),
        "kept": kept.exists(),
        "diff": _diff(state),
    }


def _refuse(checks: Sequence[Check]) -> None:
    faults = [check for check in checks if check.status == "failed"]
    if faults:
        raise GroundworkError(
            f"The operator stays: {'; '.join(check.observed for check in faults)}",
            " ".join(check.remedy for check in faults),
        )


def _diff(state: State) -> dict[str, str]:
    before = "".join(f"{trace}\n" for trace in (*state.traces, *(f"node {node} closed" for node in state.closed)))
    return {"before": before, "after": ""}
