"""`microk8s status`, whose exit code lies."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s import observe, status
from ansible.module_utils.groundwork.microk8s.observe import Datastore
from ansible.module_utils.groundwork.microk8s.status import Addon, DatastoreNode, Status
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.microk8s import texts

COMMAND = "/snap/bin/microk8s status --format yaml"


def test_a_running_node() -> None:
    found = status.parse(texts.STATUS)
    assert found == Status(
        running=True,
        message=None,
        high_availability=False,
        datastore=(DatastoreNode("10.77.0.11:19001", "voter"), DatastoreNode("10.77.0.12:19001", "spare")),
        addons=(
            Addon("dns", "core", "1.14.7", True),
            Addon("ha-cluster", "core", "1.0", True),
            Addon("nvidia", "core", None, False),
        ),
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Output(1, texts.STATUS_NOT_READY), "microk8s is not running. Use microk8s inspect for a deeper inspection."),
        (
            Output(1, texts.STATUS_NO_DATASTORE),
            "microk8s is not running. Use microk8s inspect for a deeper inspection.",
        ),
        (Output(0, texts.STATUS_STOPPED), "microk8s is not running, try microk8s start"),
        (Output(0, texts.STATUS_WORKER), texts.STATUS_WORKER.strip()),
        (Output(1, "", texts.STATUS_NO_PERMISSION), texts.STATUS_NO_PERMISSION.strip()),
        (Output(1, "", texts.STATUS_TRACEBACK), texts.STATUS_TRACEBACK.strip()),
    ],
)
def test_no_exit_code_makes_a_node_run_that_says_it_does_not(output: Output, message: str) -> None:
    found = status.observe(Commands({COMMAND: output}), 5)
    assert (found.running, found.message) == (False, message)


def test_the_message_of_a_node_that_is_not_ready_is_found_under_high_availability() -> None:
    found = status.parse(texts.STATUS_NOT_READY)
    assert found.datastore == (DatastoreNode("127.0.0.1:19001", "voter"),)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (texts.STATUS, Datastore(("10.77.0.11:19001",), (), ("10.77.0.12:19001",))),
        (
            texts.STATUS_HA,
            Datastore(("10.77.0.11:19001", "10.77.0.12:19001", "10.77.0.13:19001"), ("10.77.0.14:19001",), ()),
        ),
        (texts.STATUS_NO_DATASTORE, Datastore()),
        (texts.STATUS_WORKER, Datastore()),
    ],
)
def test_members_of_the_datastore_by_their_part(text: str, wanted: Datastore) -> None:
    assert observe.datastore(status.parse(text)) == wanted


def test_high_availability_is_what_microk8s_says() -> None:
    assert status.parse(texts.STATUS_HA).high_availability
    assert status.parse(texts.STATUS_HA).addons == ()


@given(st.text())
def test_no_text_whatever_breaks_it_or_runs(text: str) -> None:
    assert not status.parse(text).running


def test_without_yaml_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "yaml", None)
    with pytest.raises(GroundworkError, match="no PyYAML") as raised:
        status.parse(texts.STATUS)
    assert "site_venv" in raised.value.remedy


def test_a_command_that_hangs_is_an_error() -> None:
    hanging = GroundworkError("`microk8s status` took longer than 90 s", "See.")
    with pytest.raises(GroundworkError, match="longer"):
        status.observe(Commands({COMMAND: hanging}), 90)
