"""The cluster by MicroK8s's own kubectl and Helm.

A cluster to take over has never seen Groundwork: there is no virtual environment with a Kubernetes client yet, and
check mode must be able to tell what is there all the same.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ansible.module_utils.groundwork.command import Output, Run, run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu_operator.model import Object, Pod, Release, Thing
from ansible.module_utils.groundwork.microk8s.paths import Paths

REQUEST_SECONDS = 60.0
NOT_FOUND = "(NotFound)"
CHART = "gpu-operator-"
"""How Helm lists the operator's chart, before its version."""


class Cluster(Protocol):
    """What a takeover needs of a cluster; tests have one of their own."""

    def objects(self, *kinds: str) -> list[Object]:
        """The objects of these kinds, in all namespaces. Raises GroundworkError where the server knows a kind not."""

    def releases(self) -> list[Release]:
        """Helm releases of the operator's chart, in whatever state they are."""

    def values(self, release: Release) -> Object:
        """What a release was given."""

    def uninstall(self, release: Release, seconds: float) -> None:
        """Uninstall a release. One that is gone is fine; one that was killed over is gone afterwards, too."""

    def delete(self, thing: Thing, seconds: float) -> bool:
        """Delete an object, and whether it was gone in time."""

    def change(self, thing: Thing, patch: Object) -> None:
        """Merge a patch into an object; one that is gone is fine."""

    def taint(self, node: str, taint: str) -> None:
        """Set a taint, or take it away where it ends in a minus sign; one that is not there is fine."""

    def evict(self, pod: Pod) -> str:
        """Ask for a pod's eviction: empty, or why it is not evicted yet."""


@dataclass(frozen=True)
class Kubectl:
    """Asks and tells the API server, as the administrator, on a control-plane node."""

    paths: Paths = field(default_factory=Paths)
    run: Run = run

    @property
    def _access(self) -> str:
        return f"--kubeconfig={self.paths.data / 'credentials/client.config'}"

    def objects(self, *kinds: str) -> list[Object]:
        """See Cluster."""
        output = self._kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json", "--ignore-not-found")
        found: list[Object] = json.loads(output.stdout)["items"] if output.stdout.strip() else []
        return found

    def releases(self) -> list[Release]:
        """See Cluster."""
        words = ("list", "--all-namespaces", "--all", "--max=100000", "--output=json")
        found: list[dict[str, str]] = json.loads(self._helm(*words).stdout or "[]")
        mine = [one for one in found if one["chart"].startswith(CHART)]
        return [Release(one["namespace"], one["name"], one["chart"]) for one in mine]

    def values(self, release: Release) -> Object:
        """See Cluster."""
        words = ("get", "values", release.name, f"--namespace={release.namespace}", "--output=json")
        found: Object | None = json.loads(self._helm(*words).stdout or "null")
        return found or {}

    def uninstall(self, release: Release, seconds: float) -> None:
        """See Cluster."""
        words = (
            "uninstall",
            release.name,
            f"--namespace={release.namespace}",
            "--no-hooks",
            f"--timeout={seconds:.0f}s",
        )
        output = self._helm(*words, seconds=seconds + REQUEST_SECONDS, failing=True)
        if output.code != 0 and "not found" not in output.stderr:
            raise _refusal(words, output)

    def delete(self, thing: Thing, seconds: float) -> bool:
        """See Cluster."""
        words = ("delete", thing.kind, thing.name, *_where(thing.namespace), "--ignore-not-found")
        output = self._kubectl(*words, f"--timeout={max(1, int(seconds))}s", seconds=seconds + 10, failing=True)
        if output.code != 0 and "timed out" not in output.stderr:
            raise _refusal(words, output)
        return output.code == 0

    def change(self, thing: Thing, patch: Object) -> None:
        """See Cluster."""
        words = ("patch", thing.kind, thing.name, *_where(thing.namespace), "--type=merge")
        output = self._kubectl(*words, f"--patch={json.dumps(patch)}", failing=True)
        if output.code != 0 and NOT_FOUND not in output.stderr:
            raise _refusal(words, output)

    def taint(self, node: str, taint: str) -> None:
        """See Cluster."""
        words = ("taint", "node", node, taint, *(() if taint.endswith("-") else ("--overwrite",)))
        output = self._kubectl(*words, failing=True)
        if output.code != 0 and not (taint.endswith("-") and "not found" in output.stderr):
            raise _refusal(words, output)

    def evict(self, pod: Pod) -> str:
        """See Cluster."""
        metadata = {"name": pod.name, "namespace": pod.namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps({**body, "deleteOptions": {"preconditions": {"uid": pod.uid}}}))
            file.flush()
            output = self._kubectl("create", "--raw", path, "-f", file.name, failing=True)
        gone = output.code == 0 or NOT_FOUND in output.stderr or "(Conflict)" in output.stderr
        return "" if gone else output.stderr.strip()

    def _kubectl(self, *words: str, seconds: float = REQUEST_SECONDS, failing: bool = False) -> Output:
        return self._do([str(self.paths.kubectl), self._access, *words], seconds, failing)

    def _helm(self, *words: str, seconds: float = REQUEST_SECONDS, failing: bool = False) -> Output:
        helm = str(self.paths.root / "snap/microk8s/current/bin/helm")
        return self._do([helm, self._access, *words], seconds, failing)

    def _do(self, argv: Sequence[str], seconds: float, failing: bool) -> Output:
        output = self.run(argv, seconds)
        if output.code != 0 and not failing:
            raise _refusal(argv[2:], output)
        return output


def _where(namespace: str) -> tuple[str, ...]:
    return (f"--namespace={namespace}",) if namespace else ()


def _refusal(words: Sequence[str], output: Output) -> GroundworkError:
    return GroundworkError(
        f"`{' '.join(words)}`: {output.text or f'exit status {output.code}'}",
        "See that the API server runs (`microk8s status`), mend what the message says, and run again.",
    )
