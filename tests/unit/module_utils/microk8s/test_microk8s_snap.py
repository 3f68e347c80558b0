"""The snap as snapd lists it."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s import snap
from ansible.module_utils.groundwork.microk8s.snap import Service, Snap

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.microk8s import texts


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (texts.LIST, Snap("v1.36.1", "9001", "1.36/stable", True, False, ("classic", "held"))),
        (texts.LIST_WITH_LOG, Snap("v1.31.3", "7449", "1.31/stable", False, False, ("classic",))),
        (texts.LIST_FROM_FILE, Snap("v1.36.1", "x1", None, False, True, ("disabled", "classic"))),
        ("", None),
        ("No snaps are installed yet. Try 'snap install hello-world'.\n", None),
        (texts.LIST.replace("microk8s ", "microk9s "), None),
    ],
)
def test_the_row_of_microk8s(text: str, wanted: Snap | None) -> None:
    assert snap.parse_list(text) == wanted


def test_other_snaps_have_rows_too() -> None:
    found = snap.parse_list(texts.LIST_WITH_LOG, "core22")
    assert found == Snap("20240731", "1586", "latest/stable", False, False, ("base",))


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"snap list microk8s": Output(1, "", texts.LIST_ABSENT)},
    ],
)
def test_no_snapd_and_no_snap_are_not_installed(table: dict[str, Output]) -> None:
    assert snap.observe(Commands(table), 5) is None


def test_a_snapd_that_does_not_answer_is_an_error_and_not_absence() -> None:
    with pytest.raises(GroundworkError, match="cannot communicate with server") as raised:
        snap.observe(Commands({"snap list": Output(1, "", texts.LIST_NO_DAEMON)}), 5)
    assert "systemctl status snapd" in raised.value.remedy


def test_services_by_name() -> None:
    found = snap.services(Commands({"snap services microk8s": Output(0, texts.SERVICES)}), 5)
    assert len(found) == 8
    assert found["daemon-kubelite"] == Service(enabled=True, active=True)
    assert found["daemon-apiserver-proxy"] == Service(enabled=True, active=False)


def test_stopped_services_are_disabled() -> None:
    found = snap.services(Commands({"snap services": Output(0, texts.SERVICES_STOPPED)}), 5)
    assert not any(service.enabled or service.active for service in found.values())


def test_services_of_an_absent_snap_are_none() -> None:
    assert snap.services(Commands({"snap services": Output(1, "", 'error: snap "microk8s" not found')}), 5) == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [(texts.CHANGES, ["Running service command"]), (texts.CHANGES_DONE, []), ("error: no changes found\n", [])],
)
def test_only_changes_under_way_count(text: str, wanted: list[str]) -> None:
    assert snap.changes_under_way(Commands({"snap changes": Output(0, text)}), 5) == wanted
