"""HTTP connections that are encrypted, and trusted by the site's own authority alone."""

from __future__ import annotations

import http.client
import ssl


class Connection(http.client.HTTPSConnection):
    """To a server whose certificate is the authority's and has this name, whatever its address is; never by a proxy."""

    def __init__(self, host: str, port: int | None, name: str, authority: str, timeout: float) -> None:
        self._name = name
        self._trusted = ssl.create_default_context(cadata=authority)
        super().__init__(host, port, timeout=timeout, context=self._trusted)

    def connect(self) -> None:
        """See HTTPSConnection, which would ask for a certificate of the address."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self._name)
