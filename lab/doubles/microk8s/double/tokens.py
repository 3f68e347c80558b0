"""Tokens with which nodes join, and `add-node`, which makes them [add_token.py, cluster-agent/pkg/util/token.go]."""

from __future__ import annotations

import argparse
import json
import secrets
import time
from pathlib import Path

import yaml

from . import arguments, certificates, node

CLUSTER, PERSISTENT, CERTIFICATES, CALLBACK = (
    "cluster-tokens.txt", "persistent-cluster-tokens.txt", "certs-request-tokens.txt", "callback-token.txt",
)  # fmt: skip
SIZE = 32
FORMATS = ("pretty", "yaml", "json", "short", "token", "token-check")
INTRODUCTION = "From the node you wish to join to this cluster, run the following:"
WORKER = "Use the '--worker' flag to join a node as a worker not running the control plane, eg:"
OTHERS = "If the node you are adding is not reachable through the default interface you can use one of the following:"


def add_node(words: list[str]) -> int:
    """`microk8s add-node`."""
    parser = argparse.ArgumentParser(prog="microk8s add-node")
    parser.add_argument(
        "--token-ttl", "-l", type=int, default=-1, help="how long the token is valid, in seconds; -1: for one use"
    )
    parser.add_argument("--token", "-t", help="the bootstrap token to add")
    parser.add_argument("--format", default="pretty", choices=FORMATS)
    chosen = parser.parse_args(words)
    token = chosen.token or secrets.token_hex(SIZE // 2)
    if len(token) < SIZE:
        print("Invalid token size.  It must be 32 characters long.")
        return 1
    add(CLUSTER, token if chosen.token_ttl < 0 else f"{token}|{int(time.time()) + chosen.token_ttl}")
    print(show(token, chosen.format), end="")
    return 0


def show(token: str, form: str) -> str:
    """What `add-node` prints for a token."""
    check = certificates.fingerprint(node.certificate("server.crt").read_text())[:12]
    default, every = node.default_address(), node.addresses()
    urls = [f"{address}:{_port()}/{token}/{check}" for address in every]
    joins = [f"microk8s join {url}" for url in urls]
    first = f"microk8s join {default}:{_port()}/{token}/{check}"
    if form in ("json", "yaml"):
        result = {"token": f"{token}/{check}", "urls": urls}
        return json.dumps(result, indent=2) + "\n" if form == "json" else yaml.safe_dump(result)
    if form in ("token", "token-check"):
        return f"{token}\n" if form == "token" else f"{token}/{check}\n"
    if form == "short":
        return "\n".join([first, *(join for join in joins if join != first), ""])
    return "\n".join([INTRODUCTION, first, "", WORKER, f"{first} --worker", "", OTHERS, *joins, ""])


def _port() -> str:
    """25000, unless the word `port` is in args/cluster-agent, whatever --bind says [cluster_agent_port]."""
    lines = [line.split() for line in arguments.read("cluster-agent").splitlines()]
    if "port" in arguments.read("cluster-agent"):
        return " ".join(words[1] for words in lines if len(words) > 1)
    return str(node.AGENT_PORT)


def consume_cluster_token(token: str) -> bool:
    """Whether a node may join with a token; one for a single use is spent by the question."""
    return token in _read(PERSISTENT) or _consume(CLUSTER, token)


def consume_certificate_token(token: str) -> bool:
    """Whether a certificate may be signed for a token, which is spent by the question."""
    return _consume(CERTIFICATES, token)


def callback() -> str:
    """The token by which nodes of one cluster know each other; made at the first use."""
    file = node.credential(CALLBACK)
    if not file.exists():
        node.write_private(file, secrets.token_hex(SIZE // 2))
    return file.read_text().strip()


def add(name: str, line: str) -> None:
    """Append a token to a file."""
    node.write_private(node.credential(name), "".join(f"{each}\n" for each in [*_read(name), line]))


def _read(name: str) -> list[str]:
    file: Path = node.credential(name)
    return file.read_text().split() if file.exists() else []


def _consume(name: str, token: str) -> bool:
    """Whether a line has the token and has not expired; lines without expiry are removed when they match."""
    kept, found = [], False
    for line in _read(name):
        value, _, expiry = line.partition("|")
        if expiry and int(expiry) < time.time():
            continue
        if token and value == token:
            found = True
            if not expiry:
                continue
        kept.append(line)
    if node.credential(name).exists():
        node.write_private(node.credential(name), "".join(f"{line}\n" for line in kept))
    return found
