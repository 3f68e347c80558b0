"""Where MLflow and DVC's remote are: this machine's, or the platform's."""

from __future__ import annotations

import os

import yaml

from mlstack.config import Config
from mlstack.errors import UsageError


def connect(config: Config) -> None:
    """Set what MLflow's and DVC's own clients read from the environment; what is set there already stays.

    Raises:
        UsageError: where the folder that site.yml left has no login.
    """
    for name, value in _environment(config).items():
        os.environ.setdefault(name, value)


def _environment(config: Config) -> dict[str, str]:
    common = {
        "DVC_NO_ANALYTICS": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",  # its database's tables are no news
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # which is for results
    }
    platform = config.platform
    if platform.kind == "embedded":
        platform.state.mkdir(parents=True, exist_ok=True)
        return common | {"MLFLOW_TRACKING_URI": f"sqlite:///{platform.state.resolve()}/mlflow.db"}
    if platform.artifacts is None:  # within a pod, whose environment has it all
        return common
    try:
        login = yaml.safe_load((platform.artifacts / "mlflow.yml").read_text())
    except OSError as error:
        remedy = "Name the folder artifacts/<cluster> that site.yml left, by platform.artifacts in params.yaml."
        raise UsageError(f"{platform.artifacts}/mlflow.yml cannot be read: {error.strerror}", remedy) from None
    return common | {
        "DVC_SYSTEM_CONFIG_DIR": str((platform.artifacts / "dvc").resolve()),
        "MLFLOW_TRACKING_URI": login["url"],
        "MLFLOW_TRACKING_USERNAME": login["username"],
        "MLFLOW_TRACKING_PASSWORD": login["password"],
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str((platform.artifacts / "ca.crt").resolve()),
    }
