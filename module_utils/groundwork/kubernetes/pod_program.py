"""Answers, from inside a pod, the questions by which a site is proved. One JSON object on a line is the answer.

    program.py gpus            the GPUs and MIG devices that NVML shows here
    program.py serve PORT      an HTTP server that tells its host name and node, until SIGTERM
    program.py fetch URL       what URL answers
    program.py resolve NAME    the addresses of NAME
    program.py write PATH TEXT a file with a text, written through to the disk
    program.py read PATH       the text of a file
    program.py attributes PATH whether files in a folder keep extended attributes
    program.py sleep           nothing, until SIGTERM

Pods have it out of a ConfigMap (proof.py), beside pynvml.py, so that any image with Python serves.

The exit status is 0 when there is an answer, 1 when there is none (then the object has the key "error"), 2 for wrong
usage. Python's standard library is enough; only `gpus` needs pynvml (PyPI: nvidia-ml-py).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MIB = 1 << 20
FETCH_SECONDS = 5  # a NetworkPolicy drops packets silently: without a limit a blocked request would wait for minutes


class NoAnswerError(Exception):
    """There is no answer; the message says why."""


def gpus() -> dict[str, Any]:
    """List the devices that a program in this container could compute on: {uuid, name, memory_mib, parent}.

    `parent` is the UUID of the GPU that a MIG device is cut from, null for a whole GPU. A GPU in MIG mode is no device
    of its own: CUDA cannot use it whole (MIG user guide, "CUDA Device Enumeration").
    """
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount()))
        return {"gpus": [device for handle in handles for device in _devices(pynvml, handle)]}
    except pynvml.NVMLError as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error


def _devices(pynvml: Any, gpu: Any) -> Iterator[dict[str, Any]]:
    if not _mig_is_enabled(pynvml, gpu):
        yield _device(pynvml, gpu, parent=None)
        return
    parent = pynvml.nvmlDeviceGetUUID(gpu)
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):  # indices of MIG devices that do not exist, or not here
            yield _device(pynvml, pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index), parent)


def _mig_is_enabled(pynvml: Any, gpu: Any) -> bool:
    try:
        current, _pending = pynvml.nvmlDeviceGetMigMode(gpu)
    except pynvml.NVMLError_NotSupported:  # GPUs before Ampere
        return False
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _device(pynvml: Any, handle: Any, parent: str | None) -> dict[str, Any]:
    return {
        "uuid": pynvml.nvmlDeviceGetUUID(handle),
        "name": pynvml.nvmlDeviceGetName(handle),
        "memory_mib": pynvml.nvmlDeviceGetMemoryInfo(handle).total // MIB,
        "parent": parent,
    }


def whoami() -> dict[str, Any]:
    """Tell this pod's host name, and the node that runs it where the pod's specification says so (NODE_NAME)."""
    return {"hostname": socket.gethostname(), "node": os.environ.get("NODE_NAME")}


def fetch(url: str) -> dict[str, Any]:
    """Return the status and text of an HTTP answer, of at most 64 KiB."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # Services are not reached through a proxy
    with direct.open(url, timeout=FETCH_SECONDS) as answer:
        return {"status": answer.status, "body": answer.read(1 << 16).decode(errors="replace")}


def resolve(name: str) -> dict[str, Any]:
    """List the addresses that this pod's resolver gives for a name."""
    return {"addresses": sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None)})}


def write(path: str, text: str) -> dict[str, Any]:
    """Write a file, and return when it is on the disk, or on the server of a network file system."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return {"written": len(text)}


def read(path: str) -> dict[str, Any]:
    """Return the text of a file, of at most 64 KiB."""
    with Path(path).open(encoding="utf-8") as file:
        return {"text": file.read(1 << 16)}


def attributes(path: str) -> dict[str, Any]:
    """Tell whether the file system of a folder keeps what users attach to files (xattr(7), the namespace `user`)."""
    file = Path(path, f".attributes-{os.getpid()}")
    file.touch()
    try:
        os.setxattr(file, "user.groundwork", b"kept")
        return {"attributes": os.getxattr(file, "user.groundwork") == b"kept"}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENOSYS):
            return {"attributes": False}
        raise
    finally:
        file.unlink()


class Whoami(BaseHTTPRequestHandler):
    """Answers every GET with whoami()."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with who this is, whatever the path."""
        body = json.dumps(whoami()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Probes come every few seconds: a log of them says nothing."""


class Server(ThreadingHTTPServer):
    """Serves IPv6 and IPv4 at once where the kernel has IPv6, else IPv4."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """Take IPv4 along."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port: str) -> dict[str, Any]:
    """Serve whoami() on a port of every address; ends by SIGTERM alone."""
    with Server(("", int(port)), Whoami) as server:
        server.serve_forever()
    return {}


def sleep() -> dict[str, Any]:
    """Keep the container running; ends by SIGTERM alone."""
    while True:
        signal.pause()


def end(_signal: int, _frame: object) -> None:
    """End at once and well: PID 1 of a container ignores SIGTERM unless it handles it, until it is killed."""
    os._exit(0)


VERBS: dict[str, tuple[Callable[..., dict[str, Any]], tuple[str, ...]]] = {
    "gpus": (gpus, ()),
    "serve": (serve, ("port",)),
    "fetch": (fetch, ("url",)),
    "resolve": (resolve, ("name",)),
    "write": (write, ("path", "text")),
    "read": (read, ("path",)),
    "attributes": (attributes, ("path",)),
    "sleep": (sleep, ()),
}


def refuse(reason: str) -> int:
    """Say why there is no answer."""
    print(json.dumps({"error": reason}))
    return 1


def main(words: list[str] | None = None) -> int:
    """Answer one question; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, (_answer, parameters) in VERBS.items():
        command = verbs.add_parser(verb)
        for parameter in parameters:
            command.add_argument(parameter)
    chosen = vars(parser.parse_args(words))
    answer = VERBS[chosen.pop("verb")][0]
    signal.signal(signal.SIGTERM, end)
    try:
        print(json.dumps(answer(**chosen)))
    except NoAnswerError as error:
        return refuse(str(error))
    except (ImportError, OSError, ValueError) as error:  # pynvml, the network, a port or URL that is none
        return refuse(f"{type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
