"""The service daemon-apiserver-proxy: a worker's way to the API servers [run-apiserver-proxy-with-args]."""

from __future__ import annotations

import asyncio
import contextlib
import random

import yaml

from . import arguments, kubernetes, network, node


def run() -> int:
    """Serve until the end; not at all on a control plane."""
    if node.locked("no-apiserver-proxy"):
        print("apiserver-proxy will not run")
        return 0
    network.in_background()
    asyncio.run(_serve())
    return 0


async def _serve() -> None:
    server = await asyncio.start_server(_connect, port=node.API_PORT)
    async with server:
        await asyncio.gather(server.serve_forever(), _refresh())


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a client with the first control plane that answers."""
    for endpoint in random.sample(endpoints(), len(endpoints())):
        host, _, port = endpoint.rpartition(":")
        try:
            there = await asyncio.wait_for(asyncio.open_connection(host, int(port)), timeout=3)
        except (OSError, TimeoutError):
            continue
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        return
    writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()


def endpoints() -> list[str]:
    """The control planes that this worker knows, ADDRESS:PORT, out of args/traefik/provider.yaml."""
    provider = yaml.safe_load(node.arguments_file("traefik/provider.yaml").read_text())
    return [server["address"] for server in provider["tcp"]["services"]["kube-apiserver"]["loadBalancer"]["servers"]]


def write_endpoints(addresses: list[str]) -> None:
    """Write provider.yaml from its template."""
    provider = yaml.safe_load(node.arguments_file("traefik/provider-template.yaml").read_text())
    provider["tcp"]["services"]["kube-apiserver"]["loadBalancer"]["servers"] = [{"address": each} for each in addresses]
    node.write_private(node.arguments_file("traefik/provider.yaml"), yaml.safe_dump(provider))


async def _refresh() -> None:
    """Follow the Service `kubernetes`, unless --refresh-interval is 0s: then a load balancer is the endpoint."""
    while (seconds := _interval()) > 0:
        await asyncio.sleep(seconds)
        with contextlib.suppress(OSError, KeyError, IndexError, TypeError):
            found = await asyncio.to_thread(_ask)
            if found and sorted(found) != sorted(endpoints()):
                write_endpoints(found)


def _interval() -> float:
    return float((arguments.get("--refresh-interval", "apiserver-proxy") or "30s").removesuffix("s"))


def _ask() -> list[str]:
    api = kubernetes.Api(node.credential("kubelet.config"))
    subset = api.get("/api/v1/namespaces/default/endpoints/kubernetes")["subsets"][0]
    return [f"{each['ip']}:{subset['ports'][0]['port']}" for each in subset["addresses"]]
