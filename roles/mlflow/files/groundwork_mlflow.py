"""Artifacts in S3 that clients get from the server, never from S3: a plugin of MLflow's.

Where the server keeps artifacts in S3, MLflow's clients are told so, fetch all of them from there by URLs that the
server signs, and send large ones there too (mlflow/store/artifact/mlflow_artifacts_repo.py, and server-info's
multipart_downloads_enabled; there is no option against it). Clients here neither reach the object store nor know its
authority, from outside not even its name: every download would be tried again for minutes, and fail.

MLflow asks a repository's class what it can do, so this one has S3's within it instead of being one.
https://mlflow.org/docs/latest/ml/plugins says how it is found: by the entry point beside this file.
"""

from __future__ import annotations

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

SCHEME = "proxied-s3"


class ProxiedS3(ArtifactRepository):
    """Artifacts below proxied-s3://BUCKET/FOLDER, which S3 knows as s3://BUCKET/FOLDER."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        address = "s3" + artifact_uri.removeprefix(SCHEME)
        self._s3 = S3ArtifactRepository(address, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Keep a file."""
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Keep the files of a folder."""
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """List what is in a folder."""
        return self._s3.list_artifacts(path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._s3._download_file(remote_file_path, local_path)  # what ArtifactRepository asks of every repository

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file, or a folder with all that is in it."""
        self._s3.delete_artifacts(artifact_path)
