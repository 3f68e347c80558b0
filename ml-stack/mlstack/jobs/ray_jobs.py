"""Jobs of the platform's Ray, by its Jobs API: docs/ray.md. Its image has to have mlstack."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mlstack.config import Config
from mlstack.errors import MlstackError, UsageError
from mlstack.jobs import project
from mlstack.jobs.record import Record, State

STATES: dict[str, State] = {"SUCCEEDED": "succeeded", "FAILED": "failed", "STOPPED": "stopped"}


class RayJobs:
    """The platform's Ray (record.Place)."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client = _client(config)

    def start(self, name: str, words: tuple[str, ...], folder: Path) -> int:  # one signature for all
        """Send the project and have its verb run on the head; what it starts runs on workers."""
        with tempfile.TemporaryDirectory(prefix="mlstack-job-") as staged:
            self.run(name, project.stage(self._config, Path(staged), words), Path(staged))
        return 0

    def run(self, name: str, entrypoint: str, working_dir: Path) -> None:
        """Have a shell run something in a copy of a folder."""
        told = {"working_dir": str(working_dir), "env_vars": project.environment()}
        with _errors():
            self._client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env=told)

    def follow(self, record: Record, folder: Path) -> Iterator[str]:
        """The log as it grows."""
        lines: AsyncIterator[str] = self._client.tail_job_logs(record.name)
        with asyncio.Runner() as runner, _errors():
            while (text := runner.run(anext(lines, None))) is not None:
                yield text

    def state(self, record: Record, folder: Path) -> State:
        """As Ray says."""
        with _errors():
            return STATES.get(str(self._client.get_job_status(record.name).value), "running")

    def stop(self, record: Record, folder: Path) -> None:
        """Have Ray end it."""
        with _errors():
            self._client.stop_job(record.name)


def _client(config: Config) -> Any:
    from ray.job_submission import JobSubmissionClient

    artifacts = config.platform.artifacts
    try:
        login = yaml.safe_load((artifacts / "ray.yml").read_text()) if artifacts else None
    except OSError as error:
        raise UsageError(f"{artifacts}/ray.yml cannot be read: {error.strerror}", _REMEDY) from None
    if artifacts is None or login is None:
        raise UsageError("platform.artifacts is not set: there is no Ray to submit to", _REMEDY)
    secure = login["url"].startswith("https:")
    with _errors():
        return JobSubmissionClient(
            login["url"],
            headers={"Authorization": f"Bearer {login['token']}"},
            verify=str(artifacts / "ca.crt") if secure else True,
        )


_REMEDY = "Name the folder artifacts/<cluster> that site.yml left, by platform.artifacts in params.yaml."


@contextmanager
def _errors() -> Iterator[None]:
    """Ray's errors as ours."""
    import aiohttp
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        said = str(error).strip().splitlines()[0]
        raise UsageError(f"Ray refuses the token: {said}", "Take ray.yml of site.yml's last run.") from None
    except (RuntimeError, OSError, aiohttp.ClientError) as error:
        text = " ".join(str(error).split())[:300]
        raise MlstackError(f"Ray: {text}", "See whether its dashboard answers, and try again.") from None
