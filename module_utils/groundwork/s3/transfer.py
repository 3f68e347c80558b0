"""Files to and from a bucket, from inside a pod; what it did is told a line each.

    transfer.py keep FOLDER DAYS         every NAME.dump of a folder as NAME/<time>.dump; those older than DAYS days go
    transfer.py fetch NAME TIME FILE     NAME/TIME.dump into a file; "newest" stands for the last one

The folder OBJECT_STORE (/etc/object-store) holds a consumer's Secret: endpoint, region, bucket, access_key, secret_key
and ca.crt. Pods have this program out of a ConfigMap, so that any image with Python serves.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Answer, Client, Key, Store

PART_BYTES = 64 << 20
"""What is held in memory at once. No request may carry more than 5 GiB, and no object have over 10,000 parts."""
SUFFIX = ".dump"
NEWEST = "newest"
FORM = "%Y%m%dT%H%M%SZ"
XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True)
class Object:
    """An object of a bucket."""

    name: str
    size: int


@dataclass(frozen=True)
class Bucket:
    """One bucket, and the key that has it."""

    store: Store
    name: str
    key: Key

    def objects(self, prefix: str) -> list[Object]:
        """The objects whose names begin with `prefix`, sorted. Raises GroundworkError where the store refuses."""
        found: list[Object] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self._good(self.store.ask("GET", f"/{self.name}", self.key, query=query), "list")
            for entry in answer.elements("Contents"):
                texts = {child.tag.rpartition("}")[2]: child.text or "" for child in entry}
                found.append(Object(texts["Key"], int(texts["Size"])))
            if not (following := answer.text("NextContinuationToken")):
                return sorted(found, key=lambda each: each.name)
            query["continuation-token"] = following

    def put(self, file: Path, name: str) -> None:
        """Keep a file as an object; a larger one goes in parts, and is there at the end or not at all."""
        path = f"/{self.name}/{name}"
        if file.stat().st_size <= PART_BYTES:
            self._good(self.store.ask("PUT", path, self.key, body=file.read_bytes()), f"write {name}")
            return
        begun = self._good(self.store.ask("POST", path, self.key, query={"uploads": ""}), f"begin {name}")
        upload = begun.text("UploadId")
        try:
            parts = [self._part(path, upload, number, body) for number, body in enumerate(_parts(file), start=1)]
            query, body = {"uploadId": upload}, _completion(parts)
            self._good(self.store.ask("POST", path, self.key, query=query, body=body), f"complete {name}")
        except GroundworkError:
            self.store.ask("DELETE", path, self.key, query={"uploadId": upload})
            raise

    def get(self, found: Object, file: Path) -> None:
        """Write an object to a file."""
        path = f"/{self.name}/{found.name}"
        with file.open("wb") as target:
            for start in range(0, found.size, PART_BYTES):
                span = {"Range": f"bytes={start}-{min(start + PART_BYTES, found.size) - 1}"}
                target.write(self._good(self.store.ask("GET", path, self.key, headers=span), f"read {found.name}").body)
        if file.stat().st_size != found.size:
            raise GroundworkError(f"{found.name} has not the size that the store tells", "Fetch it again.")

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._good(self.store.ask("DELETE", f"/{self.name}/{name}", self.key), f"delete {name}")

    def _part(self, path: str, upload: str, number: int, body: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self._good(self.store.ask("PUT", path, self.key, query=query, body=body), f"write part {number}")
        return next(value for name, value in answer.headers.items() if name.lower() == "etag")

    def _good(self, answer: Answer, doing: str) -> Answer:
        # completing an upload may answer 200 and tell an error in the body
        if not answer.good or answer.code:
            said = f"HTTP {answer.status} {answer.code} {answer.text('Message')}".strip()
            raise GroundworkError(f"The object store refused to {doing} in {self.name}: {said}", "See its log.")
        return answer


def keep(bucket: Bucket, folder: Path, days: int, now: datetime.datetime) -> Iterator[str]:
    """Put every dump of a folder into the bucket, then delete the old ones of each, but never the newest one."""
    oldest = f"{now - datetime.timedelta(days=days):{FORM}}"
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        database = file.name.removesuffix(SUFFIX)
        name = f"{database}/{now:{FORM}}{SUFFIX}"
        bucket.put(file, name)
        yield f"kept {name}, {file.stat().st_size} bytes"
        for found in bucket.objects(f"{database}/")[:-1]:
            if _time(found.name) < oldest:
                bucket.delete(found.name)
                yield f"deleted {found.name}"


def fetch(bucket: Bucket, database: str, time: str, file: Path) -> Iterator[str]:
    """Write a dump to a file. Raises GroundworkError, with those that are there, where it is not."""
    dumps = bucket.objects(f"{database}/")
    wanted = dumps[-1:] if time == NEWEST else [each for each in dumps if _time(each.name) == time]
    if not wanted:
        times = ", ".join(_time(each.name) for each in dumps) or "none"
        raise GroundworkError(f"There is no dump {time} of {database}", f"Choose from: {times}.")
    bucket.get(wanted[0], file)
    yield f"fetched {wanted[0].name}, {wanted[0].size} bytes"


def _time(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(SUFFIX)


def _parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while part := source.read(PART_BYTES):
            yield part


def _completion(tags: list[str]) -> bytes:
    root = ElementTree.Element("CompleteMultipartUpload", {"xmlns": XMLNS})
    for number, tag in enumerate(tags, start=1):
        part = ElementTree.SubElement(root, "Part")
        ElementTree.SubElement(part, "PartNumber").text = str(number)
        ElementTree.SubElement(part, "ETag").text = tag
    return ElementTree.tostring(root)


def bucket_of(folder: Path) -> Bucket:
    """The bucket that a mounted Secret opens."""
    texts = {file.name: file.read_text().strip() for file in folder.iterdir() if file.is_file()}
    store = Client(texts["endpoint"], texts["region"], texts.get("ca.crt", ""), timeout_seconds=300.0)
    return Bucket(store, texts["bucket"], Key(texts["access_key"], texts["secret_key"]))


def main(words: list[str]) -> int:
    """Do what the words say; see the head of this file."""
    bucket = bucket_of(Path(os.environ.get("OBJECT_STORE", "/etc/object-store")))
    now = datetime.datetime.now(datetime.timezone.utc)
    verbs: dict[str, Callable[..., Iterator[str]]] = {
        "keep": lambda folder, days: keep(bucket, Path(folder), int(days), now),
        "fetch": lambda database, time, file: fetch(bucket, database, time, Path(file)),
    }
    try:
        for line in verbs[words[0]](*words[1:]):
            print(line, flush=True)
    except GroundworkError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
