"""NFS servers, as they answer a call that does nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.storage import nfs

Answer = Callable[[bytes], bytes]


def check(answer: Answer) -> Check:
    """What is said of a server that answers a call so."""
    here, there = socket.socketpair()

    def serve() -> None:
        with there:
            (size,) = struct.unpack(">I", there.recv(4))
            there.sendall(answer(there.recv(size & ~nfs.LAST_FRAGMENT)))

    server = threading.Thread(target=serve)
    server.start()
    found = nfs.check("nfs_server.answers", "nas", 4, 5.0, lambda *_: here)
    server.join()
    return found


def reply(call: bytes, *words: int) -> bytes:
    body = call[:4] + struct.pack(f">{len(words)}I", *words)
    return struct.pack(">I", nfs.LAST_FRAGMENT | len(body)) + body


def test_a_server_that_answers_is_well() -> None:
    asked: list[bytes] = []

    def answer(call: bytes) -> bytes:
        asked.append(call)
        return reply(call, 1, 0, 0, 0, 0)

    assert check(answer).status == "ok"
    assert struct.unpack(">9I", asked[0][4:]) == (0, 2, 100003, 4, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda call: reply(call, 1, 0, 0, 0, 2, 3, 3), "it speaks another version of NFS"),
        (lambda call: reply(call, 1, 0, 0, 0, 1), "it speaks no NFS"),
        (lambda call: reply(call, 1, 0, 0, 0, 9), "it answers 9"),
        (lambda call: reply(call, 1, 1, 1, 5, 0), "it denies the call"),
        (lambda _call: reply(b"else", 1, 0, 0, 0, 0), "it does not speak RPC"),
        (lambda _call: b"", "it ends the connection"),
    ],
)
def test_others_say_why_not(answer: Answer, said: str) -> None:
    found = check(answer)
    assert (found.status, found.observed) == ("failed", said)
    assert "nas" in found.remedy


def test_a_folder_on_a_disk_can_be_exported_before_it_is_there(tmp_path: Path) -> None:
    found = nfs.exportable(tmp_path / "to/be/made")
    assert (found.status, found.observed) == ("ok", f"{tmp_path} can")


def test_a_filesystem_without_handles_cannot_be_exported() -> None:
    found = nfs.exportable(Path("/proc/self"))
    assert (found.status, found.name) == ("failed", "nfs_server.path_can_be_exported")
    assert "not supported" in found.observed


def test_a_server_that_is_not_there_is_told() -> None:
    def connect(*_: object) -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    assert "Connection refused" in nfs.check("nfs_server.answers", "nas", 4, 1.0, connect).observed
