"""Where MicroK8s keeps its files. `root` is / on a host and a directory in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MICROK8S = "/snap/bin/microk8s"
"""By its full path: sudo's secure_path lacks /snap/bin on Debian."""


@dataclass(frozen=True)
class Paths:
    """The places by their meaning."""

    root: Path = Path("/")

    @property
    def data(self) -> Path:
        """$SNAP_DATA of the current revision."""
        return self.root / "var/snap/microk8s/current"

    @property
    def locks(self) -> Path:
        """Empty files that say what this node is, and what it is doing."""
        return self.data / "var/lock"

    @property
    def certificates(self) -> Path:
        """Certificates and keys."""
        return self.data / "certs"

    @property
    def kubelet_kubeconfig(self) -> Path:
        """The kubelet's own access, which members and workers have alike."""
        return self.data / "credentials/kubelet.config"

    @property
    def kubelet_arguments(self) -> Path:
        """One flag a line."""
        return self.data / "args/kubelet"

    @property
    def kubectl(self) -> Path:
        """The snap's kubectl, without the wrapper that refuses to work on a worker."""
        return self.root / "snap/microk8s/current/kubectl"

    def locked(self, name: str) -> bool:
        """Whether the lock file `name` is there."""
        return (self.locks / name).exists()
