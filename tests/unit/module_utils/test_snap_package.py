"""A snap from its channel or a file, and held."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible.module_utils.groundwork import snap_package
from ansible.module_utils.groundwork.command import MISSING, Output, Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s.snap import Snap
from ansible.module_utils.groundwork.snap_package import Wanted

# Output of `snap list microk8s` without a terminal (snapd 2.63).
LISTED = """\
Name      Version  Rev   Tracking     Publisher    Notes
microk8s  v1.36.1  9001  1.36/stable  canonical**  classic,held
"""
STORE = Wanted("microk8s", "1.36/stable", classic=True, held=True)
FILE = Wanted("microk8s", "1.36/stable", classic=True, held=True, file="/m.snap", assertion="/m.assert")


def installed(channel: str | None = "1.36/stable", held: bool = True) -> Snap:
    notes = ("classic", "held") if held else ("classic",)
    return Snap("v1.36.1", "9001", channel, held, disabled=False, notes=notes)


def answer(output: Output) -> Run:
    def run(argv: Sequence[str], timeout_seconds: float) -> Output:
        assert argv[0] == "snap"
        assert timeout_seconds > 0
        return output

    return run


def test_observe() -> None:
    found = snap_package.observe(answer(Output(0, LISTED)), "microk8s")
    assert found == installed()
    absent = Output(1, "", "error: no matching snaps installed\n")
    assert snap_package.observe(answer(absent), "microk8s") is None
    assert snap_package.observe(answer(Output(MISSING)), "microk8s") is None
    with pytest.raises(GroundworkError, match="systemctl status snapd"):
        snap_package.observe(answer(Output(1, "", "error: cannot communicate with server: ...")), "microk8s")


@pytest.mark.parametrize(
    ("snap", "wanted", "commands"),
    [
        (installed(), STORE, []),
        (installed(channel=None), FILE, []),
        (installed(held=False), STORE, ["refresh --hold=forever microk8s"]),
        (None, STORE, ["install --classic --channel 1.36/stable microk8s", "refresh --hold=forever microk8s"]),
        (None, FILE, ["ack /m.assert", "install --classic /m.snap", "refresh --hold=forever microk8s"]),
        (None, Wanted("core22", "latest/stable"), ["install --channel latest/stable core22"]),
    ],
)
def test_plan(snap: Snap | None, wanted: Wanted, commands: list[str]) -> None:
    assert [" ".join(action.arguments) for action in snap_package.plan(snap, wanted)] == commands


def test_another_channel_is_an_upgrade() -> None:
    with pytest.raises(GroundworkError, match=r"tracks 1\.35/stable, wanted is 1\.36/stable"):
        snap_package.plan(installed(channel="1.35/stable"), STORE)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('error: snap "microk8s" has "auto-refresh" change in progress', "snap changes"),
        ('error: snap "microk8s" is not available on 9.99/stable but is available', "site_mirror_snaps_url"),
        ("error: cannot perform the following tasks:", "journal of snapd"),
    ],
)
def test_a_command_that_fails_names_the_remedy(said: str, remedy: str) -> None:
    actions = snap_package.plan(None, STORE)
    with pytest.raises(GroundworkError, match=r"Could not install microk8s from 1\.36/stable") as caught:
        snap_package.apply(answer(Output(1, "", said)), actions)
    assert remedy in caught.value.remedy
