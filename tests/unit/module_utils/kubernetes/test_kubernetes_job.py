"""Jobs that are run to their end."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import job
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import refused

JOB: Object = {"kind": "Job", "metadata": {"name": "dump", "namespace": "ns"}, "spec": {}}
PATH = "/apis/batch/v1/namespaces/ns/jobs/dump"
DONE = {"name": "fetch", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
BROKEN = {"name": "keep", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}


class Jobs:
    """A cluster that runs one Job; it ends after some questions, as `end` says, or never."""

    def __init__(self, end: str, *containers: Object) -> None:
        self.end, self.containers = end, list(containers)
        self.there, self.asked, self.stays = False, 0, False
        self.pods = 1
        self.logs = {"fetch": "fetched\n", "keep": "one\ntwo\n"}

    def get(self, path: str, **query: str) -> Object:
        if path.endswith("/pods"):
            assert query == {"labelSelector": "batch.kubernetes.io/job-name=dump"}
            return {"items": [self._pod(number) for number in range(self.pods)]}
        if not self.there:
            raise refused(404)
        self.asked += 1
        ended = [{"type": self.end, "status": "True"}] if self.end and self.asked > 2 else []
        return {"status": {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, *ended]}}

    def create(self, _path: str, body: Object) -> Object:
        assert not self.there
        self.there = True
        return body

    def delete(self, path: str) -> None:
        assert path == PATH
        self.there = self.stays

    def text(self, path: str, **query: str) -> str:
        assert path.endswith(f"/pods/dump-{self.pods - 1}/log"), "the last pod tells"
        if query["container"] not in self.logs:
            raise KubernetesError("waiting to start", "See the message.", 400)
        return self.logs[query["container"]]

    def _pod(self, number: int) -> Object:
        return {
            "metadata": {"name": f"dump-{number}", "creationTimestamp": f"2026-01-0{number + 1}T00:00:00Z"},
            "spec": {"initContainers": [{"name": "fetch"}], "containers": [{"name": "keep"}]},
            "status": {"initContainerStatuses": self.containers[:1], "containerStatuses": self.containers[1:]},
        }


def test_a_job_ends_well_and_is_gone() -> None:
    cluster = Jobs("Complete", DONE, {**DONE, "name": "keep"})
    cluster.there = True  # left from a run that was killed
    ended = job.run(cluster, JOB, waiter())
    assert (ended.succeeded, ended.said, ended.problem) == (True, {"fetch": "fetched\n", "keep": "one\ntwo\n"}, "")
    assert (ended.last_lines, cluster.there) == ("fetched\none\ntwo", False)


def test_a_job_that_fails_tells_why() -> None:
    cluster = Jobs("Failed", DONE, BROKEN)
    cluster.pods = 2
    ended = job.run(cluster, JOB, waiter())
    assert (ended.succeeded, ended.last_lines.splitlines()[-2:]) == (False, ["two", "Error"])
    assert not cluster.there


def test_a_job_that_does_not_end_is_removed() -> None:
    waiting = {"name": "fetch", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    cluster = Jobs("", waiting)
    cluster.logs = {}
    ended = job.run(cluster, JOB, waiter())
    assert (ended.succeeded, ended.problem) == (False, "not ended in time; ImagePullBackOff: not found")
    assert not cluster.there


def test_a_job_without_a_pod_says_so() -> None:
    cluster = Jobs("Failed")
    cluster.pods = 0
    assert job.run(cluster, JOB, waiter()).problem == "it has no pod"


def test_a_job_that_does_not_go_is_named() -> None:
    cluster = Jobs("Complete", DONE)
    cluster.there = cluster.stays = True
    with pytest.raises(GroundworkError, match=f"{PATH} does not end"):
        job.run(cluster, JOB, waiter())
