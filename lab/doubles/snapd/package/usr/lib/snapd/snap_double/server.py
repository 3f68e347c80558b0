"""The daemon `snapd`, as far as hosts see it: it answers on its socket, and marks the system as seeded."""

from __future__ import annotations

import socketserver

from . import layout


class _Silent(socketserver.BaseRequestHandler):
    """Takes a connection: that somebody does is all that `snap` wants to know."""


def main() -> None:
    """Serve until the end."""
    layout.STATE.mkdir(parents=True, exist_ok=True)
    (layout.STATE / "seeded").touch()
    layout.SOCKET.unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(layout.SOCKET), _Silent) as server:
        layout.SOCKET.chmod(0o666)
        server.serve_forever()
