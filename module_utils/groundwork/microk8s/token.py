"""Join tokens, made on a member by `microk8s add-node`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ansible.module_utils.groundwork.command import Output, Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s.paths import MICROK8S
from ansible.module_utils.groundwork.microk8s.refusals import refusal


@dataclass(frozen=True)
class Token:
    """A secret: with it anybody who reaches port 25000 joins the cluster. `url` is ip:port/token/fingerprint."""

    token: str
    url: str


def make(run: Run, address: str, ttl_seconds: int, timeout_seconds: float) -> Token:
    """Make a token and choose the URL of `address`, an IPv4 literal of this host.

    ttl_seconds  how long it is good for, as often as wanted; a single-use token is spent by an attempt that fails

    Raises GroundworkError when this is no running member, or has no such address.
    """
    command = [MICROK8S, "add-node", "--format", "json", "--token-ttl", str(ttl_seconds)]
    output = run(command, timeout_seconds)
    return choose(output, address)


def choose(output: Output, address: str) -> Token:
    """The token, with the one URL that has the address: the first one listed is not always reachable (issue 4546)."""
    try:
        found = json.loads(output.stdout)
    except ValueError:
        raise refusal("add-node", output) from None
    url = next((url for url in found["urls"] if url.rsplit(":", 1)[0] == address), None)
    if url is None:
        hosts = ", ".join(url.split("/")[0] for url in found["urls"])
        raise GroundworkError(
            f"This host has no address {address} that nodes could join by; it has {hosts}",
            "Give an IPv4 address of this host that the other hosts reach.",
        )
    return Token(found["token"], url)
