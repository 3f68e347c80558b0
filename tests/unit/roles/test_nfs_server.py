"""Role nfs_server: which server it is, and who may mount."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.roles.conftest import Role

Make = Callable[..., Role]
SITE = {
    "groups": {"control_plane": ["n1"], "workers": ["n2"], "nfs_server": ["nas"]},
    "hostvars": {name: {"inventory_hostname": name, "__site_node": {"address": address}}
                 for name, address in (("n1", "10.0.0.1"), ("n2", "10.0.0.2"), ("nas", "10.0.0.9"))},
}  # fmt: skip
WITHOUT, WITH = {"__nfs_server_kernel": {"rc": 1}}, {"__nfs_server_kernel": {"rc": 0}}


@pytest.mark.parametrize(
    ("kernel", "wanted", "unit"),
    [
        (WITH, "auto", "nfs-server.service"),
        (WITHOUT, "auto", "nfs-ganesha.service"),
        (WITH, "ganesha", "nfs-ganesha.service"),
        (WITHOUT, "kernel", "nfs-server.service"),
    ],
)
def test_the_kernels_own_server_comes_first(role: Make, kernel: dict[str, Any], wanted: str, unit: str) -> None:
    found = role("nfs_server", **SITE, **kernel, nfs_server_implementation=wanted)
    assert found.value("__nfs_server_chosen")["unit"] == unit
    refused = (kernel, wanted) == (WITHOUT, "kernel")
    assert found.value("__nfs_server_kernel_can")["status"] == ("failed" if refused else "ok")


def test_nodes_may_mount_and_nobody_else(role: Make) -> None:
    found = role("nfs_server", **SITE, **WITHOUT)
    assert found.value("__nfs_server_clients") == ["10.0.0.1", "10.0.0.2"]
    exports = [line for line in found.text("exports.j2").splitlines() if not line.startswith("#") and line]
    assert len(exports) == 1
    assert re.findall(r"(\S+)\((\S+)\)", exports[0]) == [
        (address, "rw,sync,root_squash,no_subtree_check,anonuid=65534,anongid=65534")
        for address in ("10.0.0.1", "10.0.0.2")
    ]
    ganesha = found.text("ganesha.conf.j2")
    assert "Clients = 10.0.0.1, 10.0.0.2;" in ganesha
    assert ganesha.index("Access_Type = None;") < ganesha.index("CLIENT") < ganesha.index("Access_Type = RW;")
    assert "Squash = Root_Squash;" in ganesha


def test_clients_that_are_named_are_all(role: Make) -> None:
    found = role("nfs_server", **SITE, nfs_server_clients=["192.0.2.0/24"])
    assert found.value("__nfs_server_clients") == ["192.0.2.0/24"]
    assert found.value("__nfs_server_clients_are_known")["status"] == "ok"


def test_nodes_that_a_run_leaves_out_are_not_shut_out(role: Make) -> None:
    known = {"n1": SITE["hostvars"]["n1"], "n2": {"inventory_hostname": "n2"}}  # type: ignore[index]
    check = role("nfs_server", groups=SITE["groups"], hostvars=known).value("__nfs_server_clients_are_known")
    assert (check["status"], check["observed"]) == ("failed", "the address of n2 is not known")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], "ok"),
        (["LISTEN 0 64 0.0.0.0:2049 0.0.0.0:*"], "ok"),  # the kernel's own has no process
        (['LISTEN 0 64 *:2049 *:* users:(("ganesha.nfsd",pid=21,fd=14))'], "ok"),
        (['LISTEN 0 64 *:2049 *:* users:(("unfsd",pid=7,fd=3))'], "failed"),
    ],
)
def test_a_port_that_somebody_else_has_is_refused(role: Make, lines: list[str], status: str) -> None:
    check = role("nfs_server", __nfs_server_listening={"stdout_lines": lines}).value("__nfs_server_port_is_free")
    assert check["status"] == status
    assert status == "ok" or 'users:(("unfsd"' in check["observed"]


@pytest.mark.parametrize("kernel", [WITH, WITHOUT])
def test_the_portmapper_is_not_needed(role: Make, kernel: dict[str, Any]) -> None:
    assert {"rpcbind.socket", "rpcbind.service"} <= set(
        role("nfs_server", **kernel).value("__nfs_server_chosen")["unneeded"]
    )
