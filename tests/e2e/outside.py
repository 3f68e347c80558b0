"""What people have on their own machines: DVC, MLflow's client, and what artifacts/ holds for them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml
from site_under_test import ROOT, Site


def python() -> Path:
    """A Python with DVC and MLflow's client, in the versions that the site has; made once."""
    folder, uv = ROOT / ".cache/outside", ROOT / ".venv/bin/uv"
    versions = yaml.safe_load((ROOT / "versions.yml").read_text())["platform"]
    wanted = [f"dvc[s3]=={versions['dvc']}", f"mlflow-skinny=={versions['mlflow-skinny']}"]
    subprocess.run([uv, "venv", "--quiet", "--allow-existing", folder], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", f"--python={folder}/bin/python", *wanted], check=True)
    return folder / "bin/python"


def start(
    site: Site, python: Path, *words: str, folder: Path, stderr: int = subprocess.STDOUT
) -> subprocess.Popen[str]:
    """Start a program in a folder, which is its home too, with the site's logins."""
    login = yaml.safe_load((site.artifacts / "mlflow.yml").read_text())
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "DVC_SYSTEM_CONFIG_DIR": str(site.artifacts / "dvc"),
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_TRACKING_URI": login["url"],
        "MLFLOW_TRACKING_USERNAME": login["username"],
        "MLFLOW_TRACKING_PASSWORD": login["password"],
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(site.artifacts / "ca.crt"),
    }
    return subprocess.Popen(
        [python, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    )


def run(site: Site, python: Path, *words: str, folder: Path) -> str:
    """What such a program says, once it has ended well."""
    process = start(site, python, *words, folder=folder, stderr=subprocess.PIPE)
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 0, complaints
    return said
