"""Brings the served model up, changes its settings and takes it down; which version it serves, it sees itself."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstack import registry
from mlstack.config import Config, Serving, with_settings
from mlstack.errors import MlstackError, UsageError
from mlstack.progress import say
from mlstack.serving.keeper import Keeper, wait

NAME = "mlstack"
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
    wanted, noted = _noted(config), _settings(keeper)
    before = json.loads(noted.read_text()) if noted.exists() and keeper.running() else {}
    if before == wanted:
        return False
    if before and before["door"] != wanted["door"]:
        remedy = "Run mlstack deploy --stop first: a door that is open does not move."
        raise UsageError(f"the model is served at {before['door']}, not at {wanted['door']}", remedy)
    noted.unlink(missing_ok=True)  # what fails now is tried again
    from mlstack.serving import application

    say(f"Serving {config.model.name} at port {config.serving.port}")
    run(keeper, config.serving, lambda: application.application(config, first))
    noted.write_text(json.dumps(wanted))
    return True


def run(keeper: Keeper, serving: Serving, application: Callable[[], Any]) -> None:
    """Run an application of Serve at a port, in place of what is there; returns when it is up.

    Args:
        keeper: of the Ray that it runs in, which is started where it does not run.
        serving: its port and host.
        application: makes it, once Ray is there.

    Raises:
        MlstackError: where it does not come up.
    """
    with _connected(keeper):
        from ray import serve

        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(http_options={"host": serving.host, "port": serving.port})
        target = serve.RunTarget(application(), name=NAME)
        serve.run_many([target], wait_for_applications_running=False)
        _await_running(keeper)


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
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
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


def _noted(config: Config) -> dict[str, str]:
    """What a deployment is known by."""
    settings = config.model_dump_json(include={"serving", "platform", "model"})
    door = f"{config.serving.host}:{config.serving.port}"
    return {"door": door, "sha256": hashlib.sha256(settings.encode()).hexdigest()}


def _settings(keeper: Keeper) -> Path:
    return keeper.folder / "settings.json"
