"""Storage classes, proved."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import storage
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.kubernetes.storage import Wanted

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster

NODES = ["n1", "n2", "n3"]
GONE = "FileNotFoundError: /srv/verify/word"


class Disks(FakeCluster):
    """A cluster whose volumes keep files, one for all nodes or one for each."""

    def __init__(self, shared: bool = True) -> None:
        super().__init__({node: [] for node in NODES})
        self.shared = shared
        self.answer = self.use
        self.files: dict[str, str] = {}
        self.volumes: list[Object] = []
        self.provides = True
        self.asked: list[str] = []

    def use(self, pod: str, words: Sequence[str]) -> Object:
        there = {made["metadata"]["name"] for made in self.pods()}
        assert pod in there
        assert "writer" not in there - {pod}, "the pod before is gone"
        self.asked.append(pod)
        node = "all" if self.shared else pod.rpartition("-")[2] if pod != "writer" else "n1"
        if words[0] == "write":
            self.files[node] = words[2]
            return {"written": len(words[2])}
        if node not in self.files:
            return {"error": GONE}
        return {"text": self.files[node]}

    def create(self, path: str, body: Object) -> Object:
        if body["kind"] == "PersistentVolumeClaim":
            namespace = path.split("/")[4]
            self.volumes.append({"metadata": {"name": "pvc-1"}, "spec": {"claimRef": {"namespace": namespace}}})
        return super().create(path, body)

    def get(self, path: str, **query: str) -> Object:
        if path == "/api/v1/persistentvolumes":
            return {"items": list(self.volumes)}
        return super().get(path, **query)

    def delete(self, path: str) -> None:
        if path.endswith("/persistentvolumeclaims/verify") and self.provides:
            self.volumes.clear()
        super().delete(path)


def prove(cluster: Disks, shared: bool = True) -> Check:
    (found,) = storage.prove(cluster, Wanted("fast", shared, NODES, "docker.io/library/python:3.11"), waiter())
    assert (cluster.objects, cluster.volumes) == ({}, [])
    return found


def test_a_shared_class_is_read_on_every_node() -> None:
    cluster = Disks()
    found = prove(cluster)
    assert (found.name, found.status) == ("kubernetes_storage.shared_between_nodes", "ok")
    assert found.observed == "fast: written on n1, read on n1, n2, n3"
    assert cluster.asked == ["writer", "reader-n1", "reader-n2", "reader-n3"]


def test_a_class_of_local_disks_is_read_by_the_next_pod() -> None:
    cluster = Disks(shared=False)
    found = prove(cluster, shared=False)
    assert (found.name, found.status) == ("kubernetes_storage.outlives_its_pod", "ok")
    assert cluster.asked == ["writer", "reader-n1"]


def test_a_class_that_only_says_that_it_is_shared_is_found_out() -> None:
    found = prove(Disks(shared=False))
    assert (found.status, found.observed) == ("failed", f"fast: reader-n2: {GONE}; reader-n3: {GONE}")
    assert "class fast" in found.remedy


def test_another_text_is_no_proof() -> None:
    cluster = Disks()
    cluster.answer = lambda _pod, words: {"written": len(words[-1])} if words[0] == "write" else {"text": "old"}
    assert "another text than was written" in prove(cluster).observed


def test_a_pod_that_does_not_run_says_why() -> None:
    cluster = Disks()
    cluster.ready = False
    found = prove(cluster)
    assert (found.status, found.observed) == ("failed", "fast: writer: Pending after the time given")


def test_a_pod_that_somebody_removed_is_no_proof() -> None:
    cluster = Disks()
    cluster.answer = lambda _pod, words: {"written": len(words[-1])} if words[0] == "write" else {}
    kept = cluster.create

    def create(path: str, body: Object) -> Object:
        return kept(path, body) if body["metadata"]["name"] != "reader-n2" else {}

    cluster.create = create  # type: ignore[method-assign]
    with pytest.raises(GroundworkError, match="removed pods of the proof: reader-n2"):
        storage.prove(cluster, Wanted("fast", True, NODES, "image"), waiter())
    assert (cluster.objects, cluster.volumes) == ({}, [])


def test_a_volume_that_stays_is_named() -> None:
    cluster = Disks()
    cluster.provides = False
    with pytest.raises(GroundworkError, match="do not go: pvc-1"):
        storage.prove(cluster, Wanted("fast", True, NODES, "image"), waiter())


def test_the_claim_goes_before_its_namespace() -> None:
    """The provisioner removes the files of a volume once its claim is gone, and not of one that lost its namespace."""
    cluster = Disks()
    prove(cluster)
    deleted = [line.rpartition("/")[2] for line in cluster.log if line.startswith("delete")]
    assert deleted.index("verify") < len(deleted) - 1 - deleted[::-1].index("groundwork-verify-storage")


@pytest.mark.parametrize("kept", [True, False])
def test_a_pod_tells_whether_attributes_are_kept(kept: bool) -> None:
    cluster = Disks()
    cluster.answer = lambda _pod, words: {"attributes": kept} if words == ["attributes", "/srv/verify"] else {}
    wanted = Wanted("fast", True, ["n1"], "docker.io/library/python:3.11")
    assert storage.keeps_attributes(cluster, wanted, waiter()) is kept
    assert (cluster.objects, cluster.volumes) == ({}, [])


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_that_cannot_tell_is_no_answer(ready: bool) -> None:
    cluster = Disks()
    cluster.ready = ready
    cluster.answer = lambda _pod, _words: {"error": "OSError: full"}
    wanted = Wanted("fast", True, ["n1"], "docker.io/library/python:3.11")
    with pytest.raises(GroundworkError, match="Pending" if not ready else "OSError: full"):
        storage.keeps_attributes(cluster, wanted, waiter())
    assert (cluster.objects, cluster.volumes) == ({}, [])
