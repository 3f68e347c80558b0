"""An NFS server, asked whether it is there: the null procedure of its protocol (RFC 5531, RFC 7530 section 15.1)."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ansible.module_utils.groundwork.check import Check, failed, ok

PORT = 2049
PROGRAM = 100003
LAST_FRAGMENT = 0x80000000
CALL, RPC_VERSION, NULL_PROCEDURE = 0, 2, 0
REFUSALS = {
    1: "it speaks no NFS",
    2: "it speaks another version of NFS",
    3: "it knows no such procedure",
    5: "it fails",
}
Connect = Callable[[tuple[str, int], float], socket.socket]


def check(name: str, server: str, version: int, seconds: float, connect: Connect = socket.create_connection) -> Check:
    """Whether a server answers NFS of this version, as a check of that name.

    seconds  for the connection, and again for the answer
    """
    wanted = f"{server} answers NFS version {version} at port {PORT}"
    remedy = f"See that {server} is up, that it exports by NFS version {version}, and that no firewall is between."
    try:
        with closing(connect((server, PORT), seconds)) as connection:
            refusal = _ask(connection, version)
    except (OSError, struct.error) as error:
        refusal = str(error) or type(error).__name__
    return failed(name, refusal, wanted, remedy) if refusal else ok(name, wanted)


class _FileHandle(ctypes.Structure):
    """A file's name for life, as open_by_handle_at(2) has it."""

    _fields_ = (("size", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_char * 128))


def exportable(path: Path) -> Check:
    """Whether the filesystem of a folder, or of where it will be, knows files by handles, as NFS servers name them."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    found, mount = _FileHandle(size=128), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    told = (-100, os.fsencode(there), ctypes.byref(found), ctypes.byref(mount), 0)  # relative to the working directory
    refusal = os.strerror(ctypes.get_errno()) if libc.name_to_handle_at(*told) else ""
    name, wanted = "nfs_server.path_can_be_exported", f"the filesystem of {path} knows files by handles"
    remedy = "Mount a disk there, of ext4 or XFS for instance: overlays and most FUSE filesystems cannot be exported."
    return failed(name, f"{there}: {refusal}", wanted, remedy) if refusal else ok(name, f"{there} can", wanted)


def _ask(connection: socket.socket, version: int) -> str:
    """What the server has against a call that does nothing; empty where it has answered it."""
    call = os.urandom(4)
    body = call + struct.pack(">9I", CALL, RPC_VERSION, PROGRAM, version, NULL_PROCEDURE, 0, 0, 0, 0)
    connection.sendall(struct.pack(">I", LAST_FRAGMENT | len(body)) + body)
    (size,) = struct.unpack(">I", _receive(connection, 4))
    reply = _receive(connection, min(size & ~LAST_FRAGMENT, 1024))
    _, is_reply, denied, _, verifier = struct.unpack_from(">5I", reply)
    if reply[:4] != call or is_reply != 1:
        return "it does not speak RPC"
    if denied:
        return "it denies the call"
    (status,) = struct.unpack_from(">I", reply, 20 + verifier)
    return REFUSALS.get(status, f"it answers {status}") if status else ""


def _receive(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (part := connection.recv(size - len(found))):
            raise OSError("it ends the connection")
        found += part
    return found
