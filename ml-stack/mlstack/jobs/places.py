"""Where jobs may run, by name."""

from __future__ import annotations

from mlstack.config import Config
from mlstack.jobs.record import Place, Where

WHERE: tuple[Where, ...] = ("local", "ray", "rayjob")


def make(config: Config, where: Where) -> Place:
    """A place."""
    if where == "ray":
        from mlstack.jobs.ray_jobs import RayJobs

        return RayJobs(config)
    if where == "rayjob":
        from mlstack.jobs.rayjob import RayJob

        return RayJob(config)
    from mlstack.jobs.local import Local

    return Local(config)
