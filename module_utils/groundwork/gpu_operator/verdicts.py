"""What may not be taken over, and what somebody should know before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, warning
from ansible.module_utils.groundwork.gpu_operator.model import State


def gone(state: State) -> Check:
    """Nothing of an operator is left. Definitions and labels alone disturb nobody, though somebody should look."""
    name, wanted = "gpu_operator.none_is_left", "nothing of a GPU Operator is in the cluster"
    if not state.traces:
        return ok(name, wanted)
    work = any(one.kind.startswith(("daemonset", "deployment")) for one in state.leftovers)
    verdict = failed if state.releases or state.policies or state.operands or work else warning
    remedy = "Run playbooks/operations/adopt.yml, which takes the cluster over: GPUs belong to the host here."
    return verdict(name, _some(state.traces), wanted, remedy)


def takeover(state: State, allow_disruption: bool, allow_reboot: bool) -> list[Check]:
    """Whether the takeover may begin; without an operator there is nothing to judge."""
    if not state.traces:
        return [ok("gpu_operator.is_there", "no GPU Operator is there: nothing is taken over")]
    return [
        _pods(state, allow_disruption),
        _again(state),
        _machines(state),
        _driver(state, allow_reboot),
        _settings(state),
    ]


def _pods(state: State, allowed: bool) -> Check:
    found = "; ".join(map(str, state.pods))
    return judge(
        "gpu_operator.no_gpu_pods_in_the_way",
        allowed or not found,
        found or "no pod has a GPU",
        "no pod has a GPU, or gpu_operator_allow_disruption",
        "Let them end, or set gpu_operator_allow_disruption to true: they are evicted, and GPUs are away for minutes.",
    )


def _again(state: State) -> Check:
    by = " and ".join(state.restored_by)
    return judge(
        "gpu_operator.nobody_installs_it_again",
        not by,
        f"{by} keeps it installed" if by else "Helm alone installed it",
        "nothing that would install it again",
        f"Take the operator out of {by}, without deleting it there; then run again.",
    )


def _machines(state: State) -> Check:
    return judge(
        "gpu_operator.no_virtual_machines",
        not state.for_machines,
        "its policy gives GPUs to virtual machines" if state.for_machines else "GPUs are given to containers alone",
        "GPUs are given to containers alone",
        "Groundwork gives GPUs to containers alone; keep the operator here.",
    )


def _driver(state: State, allow_reboot: bool) -> Check:
    return judge(
        "gpu_operator.driver_can_move_to_the_host",
        allow_reboot or not state.own_driver,
        "the operator runs the driver in containers" if state.own_driver else "the driver is the host's",
        "the driver is the host's, or host_reboot_allow_disruption",
        "The host's own driver loads after a reboot at the earliest: set host_reboot_allow_disruption to true for the "
        "GPU nodes, which ends all pods on them one after another.",
    )


def _settings(state: State) -> Check:
    name = "gpu_operator.settings_are_known"
    if not state.settings:
        return ok(name, "its policy asks for nothing that ours must be told")
    return warning(
        name,
        "; ".join(state.settings),
        "the same declared in the inventory",
        "Declare what is to stay so before; the operator's settings are kept in artifacts/<cluster>/gpu_operator.json.",
    )


def _some(traces: Sequence[str], most: int = 8) -> str:
    more = len(traces) - most
    return "; ".join([*traces[:most], *_more(more)])


def _more(count: int) -> Iterable[str]:
    return (f"and {count} more",) if count > 0 else ()
