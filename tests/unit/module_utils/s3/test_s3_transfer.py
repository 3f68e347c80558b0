"""Dumps to and from a bucket."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3 import transfer
from ansible.module_utils.groundwork.s3.client import Answer, Key
from ansible.module_utils.groundwork.s3.transfer import Bucket

from tests.unit.module_utils.s3.fake_store import error, listing

KEY = Key("app", "secret")
NOW = datetime.datetime(2026, 3, 20, 2, 17, tzinfo=datetime.timezone.utc)


class Dumps:
    """A bucket in memory, listed two objects at a time, that knows uploads in parts and spans of bytes."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = {name.replace("__", "/"): content for name, content in objects.items()}
        self.parts: dict[int, bytes] = {}
        self.refused = ""
        self.log: list[str] = []

    def ask(
        self,
        method: str,
        path: str,
        key: Key | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        assert key == KEY
        asked, name = dict(query or {}), path.removeprefix("/dumps").removeprefix("/")
        self.log.append(f"{method} {name} {' '.join(sorted(asked))}".strip())
        if self.refused and self.log[-1].startswith(self.refused):
            return error(200 if "uploadId" in asked and method == "POST" else 500, "InternalError")
        if not name:
            return self._list(asked)
        if method == "POST":
            return self._post(name, asked)
        if method == "PUT" and "partNumber" in asked:
            self.parts[int(asked["partNumber"])] = body
            return Answer(200, headers={"Etag": f'"{len(body)}"'})
        if method == "PUT":
            self.objects[name] = body
        elif method == "DELETE":
            self.parts.clear() if asked else self.objects.pop(name)
        else:
            first, last = (headers or {})["Range"].removeprefix("bytes=").split("-")
            return Answer(206, self.objects[name][int(first) : int(last) + 1])
        return Answer(200)

    def _post(self, name: str, asked: Mapping[str, str]) -> Answer:
        if "uploads" in asked:
            return Answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        self.objects[name] = b"".join(self.parts[number] for number in sorted(self.parts))
        return Answer(200)

    def _list(self, asked: Mapping[str, str]) -> Answer:
        names = sorted(name for name in self.objects if name.startswith(asked["prefix"]))
        start = int(asked.get("continuation-token", "0"))
        entries = [("Contents", {"Key": name, "Size": str(len(self.objects[name]))}) for name in names[start:][:2]]
        body = listing("ListBucketResult", entries)
        if start + 2 < len(names):
            token = f"<NextContinuationToken>{start + 2}</NextContinuationToken>".encode()
            body = body.replace(b"</ListBucketResult>", token + b"</ListBucketResult>")
        return Answer(200, body)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(transfer, "PART_BYTES", 4)
    (tmp_path / "mlflow.dump").write_bytes(b"small")
    (tmp_path / "notes.txt").write_bytes(b"no dump")
    return tmp_path


def bucket(store: Dumps) -> Bucket:
    return Bucket(store, "dumps", KEY)


@pytest.mark.parametrize("content", [b"", b"1234", b"12345", b"1234567890ab"])
def test_what_is_kept_is_fetched_whatever_its_size(folder: Path, content: bytes) -> None:
    store = Dumps()
    (folder / "mlflow.dump").write_bytes(content)
    assert list(transfer.keep(bucket(store), folder, 14, NOW)) == [
        f"kept mlflow/20260320T021700Z.dump, {len(content)} bytes"
    ]
    assert store.objects == {"mlflow/20260320T021700Z.dump": content}
    lines = list(transfer.fetch(bucket(store), "mlflow", "newest", folder / "back"))
    assert (lines[0].split(",")[0], (folder / "back").read_bytes()) == ("fetched mlflow/20260320T021700Z.dump", content)


def test_old_dumps_go_and_the_newest_never_does(folder: Path) -> None:
    old = {f"mlflow__2026030{day}T021700Z.dump": b"x" for day in range(1, 8)}
    store = Dumps(**old, other__20200101T000000Z=b"x")
    told = list(transfer.keep(bucket(store), folder, 14, NOW))
    kept = sorted(name for name in store.objects if name.startswith("mlflow/"))
    assert kept == [f"mlflow/2026{day}T021700Z.dump" for day in ("0306", "0307", "0320")]
    assert told[1:] == [f"deleted mlflow/2026030{day}T021700Z.dump" for day in range(1, 6)]
    assert "other/20200101T000000Z" in store.objects
    later = NOW + datetime.timedelta(days=365)
    (folder / "mlflow.dump").unlink()
    assert list(transfer.keep(bucket(store), folder, 14, later)) == []


@pytest.mark.parametrize("refused", ["PUT", "POST mlflow/20260320T021700Z.dump uploadId", "POST"])
def test_an_upload_that_fails_leaves_nothing(folder: Path, refused: str) -> None:
    store = Dumps()
    store.refused = refused
    with pytest.raises(GroundworkError, match="InternalError"):
        list(transfer.keep(bucket(store), folder, 14, NOW))
    assert (store.objects, store.parts) == ({}, {})


def test_a_dump_that_is_not_there_names_those_that_are(folder: Path) -> None:
    store = Dumps(mlflow__20260306T021700Z=b"x")
    store.objects = {"mlflow/20260306T021700Z.dump": b"x"}
    with pytest.raises(GroundworkError, match=r"no dump 20260307T021700Z of mlflow. Choose from: 20260306T021700Z"):
        list(transfer.fetch(bucket(store), "mlflow", "20260307T021700Z", folder / "back"))
    with pytest.raises(GroundworkError, match="Choose from: none"):
        list(transfer.fetch(bucket(store), "ray", "newest", folder / "back"))


def test_the_program_tells_what_stands_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"endpoint": "http://127.0.0.1:9", "region": "r", "bucket": "b", "access_key": "a"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "secret_key").write_text("s\n")
    monkeypatch.setenv("OBJECT_STORE", str(tmp_path))
    assert transfer.main(["fetch", "mlflow", "newest", str(tmp_path / "back")]) == 1
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().out
