"""Misspelled and renamed variables of ours."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork import variables
from ansible.module_utils.groundwork.variables import Unknown
from hypothesis import given
from hypothesis import strategies as st

KNOWN = ["site_cluster_name", "site_venv", "gpu_driver_branch", "gpu_driver_source", "microk8s_node_channel"]
ROLES = ["site", "gpu_driver", "microk8s_node", "host_base"]
RENAMED = {"gpu_driver_version": "gpu_driver_branch"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("gpu_driver_branch", None),
        ("gpu_driver_brunch", Unknown("gpu_driver_brunch", "gpu_driver_branch")),
        ("gpu_drivers_branch", Unknown("gpu_drivers_branch", "gpu_driver_branch")),
        ("microk8_node_channel", Unknown("microk8_node_channel", "microk8s_node_channel")),
        ("site_zzzzzzzzzzzzzzzz", Unknown("site_zzzzzzzzzzzzzzzz", None)),
        ("gpu_driver_version", Unknown("gpu_driver_version", "gpu_driver_branch", renamed=True)),
        ("ansible_host", None),
        ("my_site_name", None),
        ("sites", None),
        ("__gpu_driver_checks", None),
        ("_gpu_driver_branch", None),
        ("GPU_DRIVER_BRANCH", None),
    ],
)
def test_what_is_ours_and_unknown(name: str, wanted: Unknown | None) -> None:
    assert variables.unknown([name], KNOWN, ROLES, RENAMED) == ([wanted] if wanted else [])


@given(st.lists(st.sampled_from(KNOWN)))
def test_known_variables_are_never_faults(names: list[str]) -> None:
    assert variables.unknown(names, KNOWN, ROLES, RENAMED) == []


@given(st.sampled_from(KNOWN), st.data())
def test_one_wrong_letter_is_found_and_put_right(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    slip = name[:place] + "0" + name[place + 1 :]
    (found,) = variables.unknown([slip], KNOWN, ROLES, RENAMED)
    assert found == Unknown(slip, name)


def test_they_come_in_order() -> None:
    found = variables.unknown(["site_x", "gpu_driver_x"], KNOWN, ROLES, {})
    assert [one.name for one in found] == ["gpu_driver_x", "site_x"]


def test_the_verdict_names_each_with_what_was_meant() -> None:
    found = variables.check(variables.unknown(["gpu_driver_brunch", "gpu_driver_version"], KNOWN, ROLES, RENAMED))
    assert (found.name, found.status) == ("site.variables_are_known", "failed")
    assert found.observed == (
        "gpu_driver_brunch (did you mean gpu_driver_branch?); gpu_driver_version is called gpu_driver_branch now"
    )


def test_without_any_all_is_well() -> None:
    assert variables.check([]).status == "ok"
