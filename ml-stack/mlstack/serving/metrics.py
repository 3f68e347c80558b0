"""Counts and latencies of one replica, in Prometheus' format.

The door is reached through a proxy that chooses a replica; the label `replica` keeps their series apart.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of a replica.

    Args:
        replica: its name.
    """

    def __init__(self, replica: str) -> None:
        self._registry = CollectorRegistry()
        self.replica = replica
        self._label = {"replica": replica}
        self._requests = Counter(
            "mlstack_requests", "Requests that were answered.", ("replica", "path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "mlstack_request_seconds",
            "How long answers took.",
            ("replica", "path"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._texts = Histogram(
            "mlstack_batch_texts", "Texts of a forward pass.", ("replica",), buckets=TEXTS, registry=self._registry
        )
        self._serving = Gauge(
            "mlstack_serving", "1 for the version that is served.", ("replica", "version"), registry=self._registry
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(**self._label, path=path, status=status).inc()
        self._seconds.labels(**self._label, path=path).observe(seconds)

    def batch(self, texts: int) -> None:
        """Count a forward pass."""
        self._texts.labels(**self._label).observe(texts)

    def text(self, version: str) -> bytes:
        """All of them, and which version is served."""
        self._serving.clear()
        self._serving.labels(**self._label, version=version).set(1)
        return generate_latest(self._registry)
