"""What a GPU Operator leaves in a cluster, and the steps that take it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """A Helm release of the operator's chart."""

    namespace: str
    name: str
    chart: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"Helm release {self.namespace}/{self.name} ({self.chart})"


@dataclass(frozen=True)
class Thing:
    """An object of the API. `kind` is as kubectl takes it; `holds` are its finalizers."""

    kind: str
    name: str
    namespace: str = ""
    holds: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as kubectl names it."""
        return f"{self.kind}/{self.name}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True)
class Marks:
    """The operator's labels and annotations on a node."""

    node: str
    labels: tuple[str, ...]
    annotations: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return them in words."""
        return f"node {self.node}: {', '.join(self.labels + self.annotations)}"


@dataclass(frozen=True)
class Pod:
    """A pod of somebody's that has a GPU. `owner` is the kind of its controller, empty where it has none."""

    namespace: str
    name: str
    node: str
    owner: str
    uid: str

    def __str__(self) -> str:
        """Return it in words."""
        after = f"its {self.owner} makes another" if self.owner else "nothing makes another"
        return f"{self.namespace}/{self.name} on {self.node} ({after})"

    @property
    def evictable(self) -> bool:
        """Whether it would stay away: a DaemonSet puts the next one on the same node at once."""
        return self.owner != "DaemonSet"


@dataclass(frozen=True)
class Namespace:
    """A namespace of the operator's. `others` is what does not belong to it; then the namespace stays."""

    name: str
    others: tuple[str, ...] = ()
    claimed: bool = False


@dataclass(frozen=True)
class State:
    """All of it.

    releases       Helm releases of the chart
    policies       what the operator is told by: ClusterPolicy, GPUCluster, NVIDIADriver
    definitions    their CustomResourceDefinitions, by name
    operands       what the operator made: the API server ends it with its policy
    leftovers      what belongs to neither a release nor a policy that is there
    namespaces     where they are
    marks          labels and annotations on nodes
    pods           pods with a GPU that are not the operator's
    nodes          nodes that have GPUs
    closed         nodes that this or an earlier run closed
    runs           whether an operator runs that could take its finalizers away
    settings       what the policies ask for beyond their defaults, for people
    restored_by    what would put the operator back: Argo CD, Flux
    for_machines   whether GPUs are given to virtual machines
    own_driver     whether the driver runs in containers
    """

    releases: tuple[Release, ...] = ()
    policies: tuple[Thing, ...] = ()
    definitions: tuple[str, ...] = ()
    operands: tuple[Thing, ...] = ()
    leftovers: tuple[Thing, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    marks: tuple[Marks, ...] = ()
    pods: tuple[Pod, ...] = ()
    nodes: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    runs: bool = False
    settings: tuple[str, ...] = ()
    restored_by: tuple[str, ...] = ()
    for_machines: bool = False
    own_driver: bool = False

    @property
    def traces(self) -> tuple[str, ...]:
        """What shows that an operator is, or was, there; empty where nothing does."""
        spaces = (f"namespace {one.name}" for one in self.namespaces if not one.others)
        objects = (*self.releases, *self.policies, *self.definitions, *self.operands, *self.leftovers)
        return (*map(str, objects), *spaces, *map(str, self.marks))


@dataclass(frozen=True)
class Close:
    """Keep new pods from a node."""

    node: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"close node {self.node} to new pods"


@dataclass(frozen=True)
class Claim:
    """Have a namespace say that it is to go, for the run after one that was killed."""

    namespace: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"mark namespace {self.namespace} as one to remove"


@dataclass(frozen=True)
class Evict:
    """Have pods end, as their PodDisruptionBudgets allow."""

    pods: tuple[Pod, ...]

    def __str__(self) -> str:
        """Return it in words."""
        return f"evict {', '.join(map(str, self.pods))}"


@dataclass(frozen=True)
class Unbind:
    """Take away the finalizers of an object whose operator is gone."""

    thing: Thing

    def __str__(self) -> str:
        """Return it in words."""
        return f"take {', '.join(self.thing.holds)} from {self.thing}, since no operator runs that would"


@dataclass(frozen=True)
class Delete:
    """Delete an object, and wait until it is gone."""

    thing: Thing

    def __str__(self) -> str:
        """Return it in words."""
        return f"delete {self.thing}"


@dataclass(frozen=True)
class Uninstall:
    """Uninstall a Helm release, without its hooks: they need images, and do what is done here."""

    release: Release

    def __str__(self) -> str:
        """Return it in words."""
        return f"uninstall {self.release}"


@dataclass(frozen=True)
class Settle:
    """Wait until what the operator ran has ended, and no node offers GPUs by it."""

    operands: tuple[Thing, ...]
    namespaces: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in words."""
        return f"wait for the end of {', '.join(map(str, self.operands)) or 'its pods'}"


@dataclass(frozen=True)
class Unmark:
    """Take the operator's labels and annotations from a node."""

    marks: Marks

    def __str__(self) -> str:
        """Return it in words."""
        return f"take from {self.marks}"


@dataclass(frozen=True)
class Restart:
    """Delete a pod of a DaemonSet: its next one gets its GPU our way."""

    pod: Pod

    def __str__(self) -> str:
        """Return it in words."""
        return f"restart {self.pod}"


@dataclass(frozen=True)
class Open:
    """Let pods onto a node again."""

    node: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"open node {self.node}"


Action = Close | Claim | Evict | Unbind | Delete | Uninstall | Settle | Unmark | Restart | Open
