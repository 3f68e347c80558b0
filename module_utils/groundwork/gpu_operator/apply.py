"""Each step done, and waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu_operator import observe
from ansible.module_utils.groundwork.gpu_operator.kubectl import Cluster
from ansible.module_utils.groundwork.gpu_operator.model import (
    Action,
    Claim,
    Close,
    Delete,
    Evict,
    Open,
    Pod,
    Restart,
    Settle,
    Thing,
    Unbind,
    Uninstall,
    Unmark,
)
from ansible.module_utils.groundwork.waiting import Waiter

CLOSED = f"{observe.TAINT}=:NoSchedule"
OPENED = f"{observe.TAINT}-"


@dataclass(frozen=True)
class Steps:
    """Does steps on a cluster.

    waiter    for pods to leave, for objects to end
    patience  for kubelets to tell that a device plugin is gone
    """

    cluster: Cluster
    waiter: Waiter
    patience: Waiter

    def apply(self, action: Action) -> None:
        """Do one. Raises GroundworkError where it cannot be done, or not in time."""
        if isinstance(action, Close):
            self.cluster.taint(action.node, CLOSED)
        elif isinstance(action, Open):
            self.cluster.taint(action.node, OPENED)
        elif isinstance(action, Evict):
            self._evict(action.pods)
        elif isinstance(action, Uninstall):
            self.cluster.uninstall(action.release, self.waiter.seconds)
        elif isinstance(action, Settle):
            self._settle(action)
        elif isinstance(action, Delete):
            self._delete(action.thing)
        else:
            self._change(action)

    def _change(self, action: Claim | Unbind | Unmark | Restart) -> None:
        if isinstance(action, Claim):
            claimed = {"metadata": {"annotations": {observe.CLAIM: "removing"}}}
            self.cluster.change(Thing("namespace", action.namespace), claimed)
        elif isinstance(action, Unbind):
            self.cluster.change(action.thing, {"metadata": {"finalizers": None}})
        elif isinstance(action, Unmark):
            gone = {
                "labels": dict.fromkeys(action.marks.labels),
                "annotations": dict.fromkeys(action.marks.annotations),
            }
            self.cluster.change(Thing("node", action.marks.node), {"metadata": gone})
        else:
            self._delete(Thing("pod", action.pod.name, action.pod.namespace))

    def _delete(self, thing: Thing) -> None:
        if not self.cluster.delete(thing, self.waiter.seconds):
            raise GroundworkError(
                f"{thing} was not gone after {self.waiter.seconds:g} s",
                "See with `microk8s kubectl get -o yaml` which finalizers hold it. The operator takes away those "
                "of a policy: see its log, or scale its Deployment to 0 and run again, which then does so itself.",
            )

    def _evict(self, pods: Sequence[Pod]) -> None:
        self.waiter.need(lambda: self._staying(pods), lambda staying: not staying, _stuck)

    def _staying(self, pods: Sequence[Pod]) -> list[str]:
        """Those that are there still, each with what holds it."""
        there = {pod["metadata"]["uid"]: pod for pod in self.cluster.objects("pods")}
        staying = [pod for pod in pods if pod.uid in there]
        leaving = [pod for pod in staying if "deletionTimestamp" in there[pod.uid]["metadata"]]
        refusals = {pod: self.cluster.evict(pod) for pod in staying if pod not in leaving}
        return [f"{pod.namespace}/{pod.name} ({refusals.get(pod) or 'ending'})" for pod in staying]

    def _settle(self, action: Settle) -> None:
        """Its pods, whose last act may be on containerd's template, and its RuntimeClass, which ours is named like."""
        self.waiter.need(lambda: self._remains(action), lambda found: not found, _remaining)
        # A pod that is scheduled before fails with UnexpectedAdmissionError. Where another plugin runs, time ends this.
        self.patience.until(lambda: observe.offered(self.cluster.objects("nodes")), lambda count: count == 0)

    def _remains(self, action: Settle) -> list[str]:
        return observe.remains(self.cluster.objects(*observe.MADE), self.cluster.objects("pods"), action)


def _stuck(staying: Sequence[str]) -> GroundworkError:
    return GroundworkError(
        f"Pods with GPUs do not leave: {'; '.join(staying)}",
        "Raise what their PodDisruptionBudgets allow, or end them yourself; then run again. The nodes stay closed to "
        f"new pods (taint {observe.TAINT}) until then.",
    )


def _remaining(found: Sequence[str]) -> GroundworkError:
    return GroundworkError(
        f"What the operator ran does not end: {', '.join(found)}",
        "See `microk8s kubectl describe` of it; then run again.",
    )
