"""Check: the one type of every verdict."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import STATUSES, Check, Status
from ansible.module_utils.groundwork.errors import GroundworkError
from hypothesis import given
from hypothesis import strategies as st

statuses = st.sampled_from(STATUSES)
checks = st.builds(Check, st.text(min_size=1), statuses, st.text(), st.text(), st.text())


@given(checks)
def test_a_check_survives_its_json(made: Check) -> None:
    assert check.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_the_json_has_five_keys_in_this_order() -> None:
    assert list(Check("role.check", "ok").to_dict()) == ["name", "status", "observed", "wanted", "remedy"]


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (check.ok("a.b", "seen"), Check("a.b", "ok", "seen", "seen", "")),
        (check.ok("a.b", "2", "at least 1"), Check("a.b", "ok", "2", "at least 1", "")),
        (check.failed("a.b", "0", "1", "Add one."), Check("a.b", "failed", "0", "1", "Add one.")),
        (check.warning("a.b", "0", "1", "Look."), Check("a.b", "warning", "0", "1", "Look.")),
        (check.skipped("a.b", "no GPU here"), Check("a.b", "skipped", "no GPU here", "", "")),
        (check.judge("a.b", True, "1", "1", "Add one."), Check("a.b", "ok", "1", "1", "")),
        (check.judge("a.b", False, "0", "1", "Add one."), Check("a.b", "failed", "0", "1", "Add one.")),
    ],
)
def test_helpers_make(made: Check, wanted: Check) -> None:
    assert made == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "a.b"},
        {"name": "a.b", "status": "fine"},
        {"name": "", "status": "ok"},
        {"name": "a.b", "status": "ok", "comment": "x"},
        {"status": "ok", "observed": "x"},
    ],
)
def test_what_is_no_check_is_refused_with_the_remedy(fields: dict[str, object]) -> None:
    with pytest.raises(GroundworkError) as refused:
        check.from_dict(fields)
    assert "Not a check" in refused.value.message
    assert "status (ok, skipped, warning, failed)" in refused.value.remedy


def test_numbers_become_text() -> None:
    assert check.from_dict({"name": "a.b", "status": "ok", "observed": 2, "wanted": 2}).observed == "2"


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([], "ok"),
        (["ok", "ok"], "ok"),
        (["ok", "skipped"], "skipped"),
        (["warning", "skipped", "ok"], "warning"),
        (["warning", "failed", "ok"], "failed"),
    ],
)
def test_the_worst_sums_up(found: list[Status], wanted: str) -> None:
    assert check.worst(Check("a.b", status) for status in found) == wanted


@given(st.lists(checks))
def test_counts_name_every_status_and_add_up(made: list[Check]) -> None:
    counted = check.counts(made)
    assert list(counted) == list(STATUSES)
    assert sum(counted.values()) == len(made)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GroundworkError("It broke", "Mend it."), "It broke. Mend it."),
        (GroundworkError("It broke.", "Mend it."), "It broke. Mend it."),
        (GroundworkError("It broke", ""), "It broke"),
    ],
)
def test_an_error_says_what_and_what_to_do(error: GroundworkError, text: str) -> None:
    assert str(error) == text
