"""Storage as its users have it: a file written on one node is read on another, and none is lost on a host's disk."""

from __future__ import annotations

from collections.abc import Iterator

import pods
import pytest
from site_under_test import Lab, Report, Site, await_that


@pytest.fixture
def data(site: Site) -> Iterator[dict[str, object]]:
    """A volume of the shared class, as pods have it; it and they go at the end."""
    pods.apply(site, pods.claim("data"))
    yield pods.with_volume("data")
    pods.delete(site, "writer", "reader")
    site.kubectl("delete", "pvc", "data", "--wait=true", timeout=120)
    await_that(lambda: "default/data" not in volumes(site), 120, "the volume's removal")


def volumes(site: Site) -> str:
    """The claims that volumes are bound to."""
    path = "{range .items[*]}{.spec.claimRef.namespace}/{.spec.claimRef.name} {end}"
    return site.kubectl("get", "pv", f"-o=jsonpath={path}")


def test_a_file_written_on_one_node_is_read_on_another(site: Site, data: pods.Manifest) -> None:
    program = "import os, pathlib; os.umask(0o077); p = pathlib.Path('/data/a/b'); p.mkdir(parents=True); "
    pods.apply(site, pods.pod("writer", f"{program}(p / 'word').write_text('kept')", node="n2", **data))
    pods.said(site, "writer")
    pods.apply(site, pods.pod("reader", "print(open('/data/a/b/word').read())", node="n3", **data))
    assert pods.said(site, "reader") == "kept"


def test_the_report_tells_who_root_is_and_what_was_proved(proved: Report) -> None:
    assert proved.proofs["shared_storage.path_is_writable"] == "root becomes user 65534"
    assert "read on n1, n2, n3" in proved.proofs["kubernetes_storage.shared_between_nodes"]
    assert "kubernetes_storage.outlives_its_pod" in proved.proofs


@pytest.mark.usefixtures("proved")
def test_nothing_but_volumes_is_on_the_filesystem(site: Site, lab: Lab) -> None:
    """Neither of the probes nor of the proofs' pods."""
    folders = lab.shell("n2", "ls -A /srv/shared").split()
    known = site.kubectl("get", "pv", "-o=jsonpath={.items[*].metadata.name}").split()
    assert [name for name in folders if name.split("_")[0] not in known] == []
