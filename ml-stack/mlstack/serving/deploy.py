"""Brings the served model up, changes its settings and takes it down; which version it serves, it sees itself."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstack import registry
from mlstack.config import Config, with_settings
from mlstack.errors import MlstackError, UsageError
from mlstack.progress import say
from mlstack.serving.keeper import Keeper, wait

UP_SECONDS = 300.0
FOLLOW_SECONDS = 120.0


@dataclass(frozen=True)
class Deployed:
    """What is served now, and where.

    fresh  the application was started, or its settings changed
    """

    url: str
    version: registry.Version
    fresh: bool


def deploy(config: Config) -> Deployed:
    """Serve the version that has the alias; returns when every replica does.

    Raises:
        UsageError: where no version has the alias, or another program has the port.
        MlstackError: where the application does not come up, or does not follow.
    """
    if config.platform.kind != "embedded":
        raise UsageError("mlstack deploy serves on this machine only", "Set platform.kind to embedded in params.yaml.")
    chosen = registry.by_alias(config, config.serving.alias)
    if chosen is None:
        raise UsageError(
            f"no version of {config.model.name} has the alias {config.serving.alias}",
            "Run mlstack register; it makes the baseline the first champion.",
        )
    keeper = Keeper(config.platform.state / "ray")
    _check_port(config, keeper)
    fresh = _run(_absolute(config), keeper, chosen.number)
    url = f"http://{config.serving.host}:{config.serving.port}"
    _await_version(url, chosen, config.serving.replicas)
    return Deployed(url, chosen, fresh)


def stop(config: Config) -> bool:
    """Serve no longer; whether anything was served."""
    keeper = Keeper(config.platform.state / "ray")
    _settings(keeper).unlink(missing_ok=True)
    return keeper.stop()


def _run(config: Config, keeper: Keeper, first: str) -> bool:
    """Start the application, or change its settings; whether there was anything to do."""
    wanted, running = _fingerprint(config), keeper.running()
    if running and _settings(keeper).exists() and _settings(keeper).read_text() == wanted:
        return False
    _settings(keeper).unlink(missing_ok=True)
    with _connected(keeper):
        from ray import serve

        from mlstack.serving import application

        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        say(f"Serving {config.model.name} at port {config.serving.port}")
        serve.start(http_options={"host": config.serving.host, "port": config.serving.port})
        target = serve.RunTarget(application.application(config, first), name=application.NAME)
        serve.run_many([target], wait_for_applications_running=False)
        _await_running(keeper)
    _settings(keeper).write_text(wanted)
    return True


@contextmanager
def _connected(keeper: Keeper) -> Iterator[None]:
    address = keeper.ensure()
    os.environ.update(keeper.environment())  # before Ray is imported, which reads them then
    import ray

    ray.init(address=address, namespace="serve", log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def _await_running(keeper: Keeper) -> None:
    from ray import serve

    from mlstack.serving.application import NAME

    def status() -> str:
        return str(serve.status().applications[NAME].status.value)

    came = wait("Loading the model", lambda: status() in ("RUNNING", "DEPLOY_FAILED"), UP_SECONDS)
    if not came or status() != "RUNNING":
        message = serve.status().applications[NAME].message
        raise MlstackError(f"the application does not come up: {message[-2000:]}", f"Correct that; see {keeper.log}.")


def _await_version(url: str, chosen: registry.Version, replicas: int) -> None:
    """Ask until each replica was heard to serve it."""
    heard: dict[str, Any] = {}

    def followed() -> bool:
        health = _health(url)
        heard[health.get("replica", "")] = health
        return [one.get("version") for one in heard.values()].count(chosen.number) >= replicas

    if not wait(f"Waiting until version {chosen.number} is served", followed, FOLLOW_SECONDS):
        trouble = next(
            (one["registry"] for one in heard.values() if one.get("registry")), "its replicas do not say why"
        )
        raise MlstackError(f"{chosen} is not served: {trouble}", "Correct that; the old version is served until then.")


def _health(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:  # noqa: S310 - http alone, from our settings
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}


def _check_port(config: Config, keeper: Keeper) -> None:
    if keeper.running():
        return
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((config.serving.host, config.serving.port))
        except OSError as error:
            raise UsageError(
                f"{config.serving.host}:{config.serving.port} cannot be listened at: {error.strerror}",
                "Set serving.port in params.yaml, or end the program that listens there.",
            ) from None


def _absolute(config: Config) -> Config:
    """Replicas run in another folder."""
    return with_settings(config, {"platform.state": str(config.platform.state.resolve())})


def _fingerprint(config: Config) -> str:
    return hashlib.sha256(config.model_dump_json(include={"serving", "platform", "model"}).encode()).hexdigest()


def _settings(keeper: Keeper) -> Path:
    return keeper.folder / "settings.sha256"
