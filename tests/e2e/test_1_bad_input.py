"""Bad input on fresh hosts: a clear error with a remedy, before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_under_test import Lab, Run, Site, changed_inventory

Inventory = dict[str, dict[str, object]]


def no_control_plane(inventory: Inventory) -> None:
    inventory["workers"]["hosts"] |= inventory.pop("control_plane")["hosts"]  # type: ignore[operator]


def gpu_host_without_gpu(inventory: Inventory) -> None:
    inventory["gpu_nodes"]["hosts"]["n1"] = None  # type: ignore[index]


def two_hosts_one_name(inventory: Inventory) -> None:
    hosts = inventory["workers"]["hosts"]
    hosts["n2"]["ansible_host"] = hosts["n3"]["ansible_host"]  # type: ignore[index]


FAULTS = {
    "no control plane": no_control_plane,
    "a GPU host without a GPU": gpu_host_without_gpu,
    "two hosts with one name": two_hosts_one_name,
}


def assert_refused(run: Run, *words: str) -> None:
    assert run.status != 0, run.tail
    for word in words:
        assert word in run.output, f"{word!r} is not in the output:\n{run.tail}"
    assert set(run.changed.values()) <= {0}, run.tail


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no control plane", ["control_plane"]),
        pytest.param("a GPU host without a GPU", ["n1", "GPU"], marks=pytest.mark.sampled("hosts")),
        ("two hosts with one name", ["n2", "n3"]),
    ],
)
def test_a_faulty_inventory_is_refused(fresh_site: Site, tmp_path: Path, fault: str, words: list[str]) -> None:
    assert_refused(fresh_site.play(inventory=changed_inventory(fresh_site.lab, tmp_path, FAULTS[fault])), *words)


@pytest.mark.sampled("variables")
def test_an_unknown_variable_is_refused_with_the_nearest_name(fresh_site: Site) -> None:
    assert_refused(fresh_site.play("-e", "gpu_driver_brunch=580"), "gpu_driver_brunch", "gpu_driver_branch")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ("gpu_driver_branch=570", ["gpu_driver.branch_is_published", "branches that are there: 580, 595"]),
        ("gpu_driver_branch=newest", ["gpu_driver_branch is 'newest', and that is no branch"]),
        ("gpu_driver_source=distribution", ["gpu_driver.system", "auto or vendor"]),
    ],
)
def test_a_driver_that_nobody_has_is_refused(fresh_site: Site, variables: str, words: list[str]) -> None:
    assert_refused(fresh_site.play("-e", variables), *words)


@pytest.mark.sampled("variables")
def test_a_renamed_variable_says_its_new_name(fresh_site: Site) -> None:
    said = "gpu_driver_expected_count is called gpu_health_count now"
    assert_refused(fresh_site.play("-e", "gpu_driver_expected_count=2"), said)


@pytest.mark.sampled("hosts")
@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('{"gpu_health_products": ["*H100*", "*H100*"]}', "products names *H100* twice"),
        ('{"gpu_health_pcie_width": 3}', "pcie_width is 3"),
    ],
)
def test_gpus_that_cannot_be_meant_are_refused(fresh_site: Site, declared: str, said: str) -> None:
    assert_refused(fresh_site.play("-e", declared), "nvidia_gpu.declaration", said)


@pytest.mark.sampled("hosts")
def test_an_unsupported_release_is_refused(fresh_site: Site, lab: Lab) -> None:
    older = 's/bookworm/buster/; s/"12"/"10"/; s/12 (/10 (/'
    lab.shell("n3", f"cp -L /etc/os-release /etc/os-release.kept && sed -i '{older}' /etc/os-release")
    try:
        assert_refused(fresh_site.play(), "n3", "10")
    finally:
        lab.shell("n3", "cat /etc/os-release.kept > /etc/os-release; rm /etc/os-release.kept")


@pytest.mark.sampled("hosts")
def test_a_mirror_that_does_not_answer_is_named(fresh_site: Site, lab: Lab) -> None:
    lab("fault", "mirror-stop")
    try:
        assert_refused(fresh_site.play(), "mirror")
    finally:
        lab("fault", "clear")


@pytest.mark.sampled("first runs")
def test_check_mode_finishes_on_fresh_hosts_and_says_what_would_be_done(fresh_site: Site) -> None:
    run = fresh_site.play("--check", "--diff")
    assert run.status == 0, run.tail
    assert all(changed > 0 for host, changed in run.changed.items() if host != "localhost"), run.tail


@pytest.mark.sampled("first runs")
def test_a_file_with_a_wrong_checksum_is_refused_before_it_is_used(fresh_site: Site, lab: Lab) -> None:
    lab("fault", "mirror-spoil", "snaps/microk8s/1.36/stable/microk8s.snap")
    try:
        run = fresh_site.play()
        assert run.status != 0, run.tail
        assert "microk8s.snap" in run.output, run.tail
        assert "checksum" in run.output, run.tail
        assert "No such file" in lab.shell("n1", "ls /snap/microk8s 2>&1", check=False)
    finally:
        lab("fault", "clear")
