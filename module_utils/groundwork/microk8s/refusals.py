"""What MicroK8s's cluster commands say when they fail, and what to do then.

Texts: microk8s scripts/wrappers/{join,leave,add_token}.py, common/cluster/utils.py, and the cluster agent's
pkg/api/v2/join.go. They are matched, not exit codes: 6 stands for every refusal of the agent, and 0 for some failures.
"""

from __future__ import annotations

import re

from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError

REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"Invalid token",
        "The token is unknown, spent or expired: make a fresh one with microk8s_token for every attempt.",
    ),
    (
        r"already known to dqlite",
        "A former member had this address: run `microk8s remove-node ADDRESS --force` on a member, then join again.",
    ),
    (
        r"does not resolve to the IP",
        "Name this host and its address in /etc/hosts of the member that was contacted; role host_base does it.",
    ),
    (
        r"Could not verify the identity",
        "The member's certificate was issued anew since the token was made (an address appeared on it): make a fresh "
        "token, and see that `url` leads to a member of this cluster.",
    ),
    (r"has the same IP", "A node cannot join itself: give the address of another member."),
    (
        r"failed to find matching dqlite bind address",
        "Join by an address of the member's own interfaces; a virtual or translated one cannot serve the first join.",
    ),
    (
        r"change in progress",
        "Another change of the snap is under way: wait until `snap changes` shows it done, and run again.",
    ),
    (
        r"Connection refused|timed out|No route to host|OSError",
        "The member's cluster agent does not answer: see that it runs (`snap services microk8s`) and that port 25000 "
        "is open between the hosts.",
    ),
    (
        r"holds the only copy of the Kubernetes database",
        "Remove the other control-plane nodes first, or let another member become a voter.",
    ),
    (r"is not running, try microk8s start", "Run `microk8s start` on this host."),
    (r"acting as a node in a cluster", "This is a worker: run it on a control-plane node."),
)
OTHERWISE = "See `journalctl -u snap.microk8s.daemon-cluster-agent` on the member and `microk8s inspect` here."
TOKEN = re.compile(r"[0-9a-zA-Z]{32,}(/[0-9a-f]{12})?")


def refusal(command: str, output: Output) -> GroundworkError:
    """The error for a command that failed, with its last words; tokens are cut out."""
    words = TOKEN.sub("TOKEN", last_words(output))
    remedy = next((remedy for pattern, remedy in REMEDIES if re.search(pattern, output.text)), OTHERWISE)
    return GroundworkError(f"`microk8s {command}` did not succeed: {words or f'exit code {output.code}'}", remedy)


def last_words(output: Output) -> str:
    """The last line of each stream that is no progress: of a Python traceback that is its message."""
    streams = (output.stdout, output.stderr)
    lines = ([line.strip() for line in stream.splitlines() if line.strip(" .")] for stream in streams)
    return " ".join(found[-1] for found in lines if found)
