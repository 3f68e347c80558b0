"""Which network a lab gets, and who has which address in it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import network
from lab.errors import LabError
from lab.hosts import with_names
from lab.model import Host, Lab


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "10.77.0.0/24"),
        (["10.77.0.0/24"], "10.77.1.0/24"),
        (["10.77.0.0/24", "10.77.2.0/24"], "10.77.1.0/24"),
        (["10.77.0.0/23"], "10.77.2.0/24"),
        (["10.77.0.5"], "10.77.1.0/24"),  # a route to one address
        (["192.168.1.0/24"], "10.77.0.0/24"),
    ],
)
def test_a_lab_gets_the_first_free_network(taken: list[str], expected: str) -> None:
    assert network.allocate(taken) == expected


def test_no_network_is_left() -> None:
    with pytest.raises(LabError, match="no network is free"):
        network.allocate(["10.0.0.0/8"])


@given(st.lists(st.integers(0, 255), max_size=200))
def test_networks_never_overlap(numbers: list[int]) -> None:
    taken = [f"10.77.{number}.0/24" for number in numbers]
    found = ipaddress.IPv4Network(network.allocate(taken))
    assert not any(found.overlaps(ipaddress.IPv4Network(each)) for each in taken)


def test_hosts_get_addresses_one_after_the_other() -> None:
    lab = Lab("lab", "10.77.3.0/24")
    for name in ("n1", "n2"):
        lab = lab.with_host(Host(name, "debian-12", lab.next_address()))
    assert [host.address for host in lab.hosts] == ["10.77.3.11", "10.77.3.12"]


def test_names_replace_the_labs_lines_and_leave_others() -> None:
    once = with_names("127.0.0.1 localhost\n", ["10.77.0.11 n1"])
    twice = with_names(once + "10.0.0.1 mine\n", ["10.77.0.11 n1", "10.77.0.12 n2"])
    names = ["# the lab's hosts", "10.77.0.11 n1", "10.77.0.12 n2", "# end of the lab's hosts"]
    assert twice.splitlines() == ["127.0.0.1 localhost", "10.0.0.1 mine", *names]
    assert with_names(twice, ["10.77.0.11 n1", "10.77.0.12 n2"]) == twice


def test_chains_of_other_networks_are_told_from_what_netavark_leaves_behind() -> None:
    comment = '-m comment --comment "netavark firewall plugin rules"'
    left = ["-P FORWARD ACCEPT", "-N NETAVARK_FORWARD", f"-A FORWARD {comment} -j NETAVARK_FORWARD"]
    assert not any(map(network.is_of_a_network, left))
    assert network.is_of_a_network("-A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT")
    assert network.is_of_a_network("-A POSTROUTING -s 10.88.0.0/16 -j NETAVARK-1D8721804F16F")
    assert not network.is_of_a_network("-A POSTROUTING -j NETAVARK-HOSTPORT-MASQ")
