"""An object store in memory, with the administration requests of Versity S3 Gateway."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Answer, Key

ROOT = Key("root", "root-secret")


def error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>said {code}</Message></Error>".encode())


class FakeStore:
    """Users and their secrets, buckets and their owners, objects by path. `open`: everybody may do everything."""

    def __init__(self) -> None:
        self.users = {ROOT.access: ROOT.secret}
        self.owners: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self.open = False
        self.down = False
        self.forgetful = False
        self.stale = 0
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
        self.log.append(f"{method} {path}")
        if self.down:
            raise GroundworkError("s3 does not answer: refused", "Start it.")
        if not self.open:
            if key is None:
                return error(403, "AccessDenied")
            if key.access not in self.users:
                return error(403, "InvalidAccessKeyId")
            if self.users[key.access] != key.secret or self.stale:
                self.stale = max(0, self.stale - 1)
                return error(403, "SignatureDoesNotMatch")
        if method == "PATCH":
            return self._administer(path, key, query or {}, headers or {}, body)
        return self._serve(method, path, key, body)

    def _administer(
        self, path: str, key: Key | None, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        if key != ROOT and not self.open:
            return error(403, "XAdminAccessDenied")
        if path == "/list-users":
            accounts = [("Accounts", {"Access": name, "Secret": secret, "Role": "user"})
                        for name, secret in self.users.items() if name != ROOT.access]  # fmt: skip
            return Answer(200, listing("ListUserAccountsResult", accounts))
        if path == "/list-buckets":
            buckets = [("Buckets", {"Name": name, "Owner": owner}) for name, owner in self.owners.items()]
            return Answer(200, listing("ListBucketsResult", buckets))
        if path == "/create-user":
            user = ElementTree.fromstring(body)
            self.users[str(user.findtext("Access"))] = str(user.findtext("Secret"))
        elif path == "/update-user":
            self.users[query["access"]] = str(ElementTree.fromstring(body).findtext("Secret"))
        elif path == "/change-bucket-owner":
            self.owners[query["bucket"]] = query["owner"]
        else:
            self.owners[path.split("/")[1]] = headers["x-vgw-owner"]
        return Answer(201)

    def _serve(self, method: str, path: str, key: Key | None, body: bytes) -> Answer:
        bucket = path.split("/")[1]
        if not bucket:
            return Answer(200, b"<ListAllMyBucketsResult/>")
        if bucket not in self.owners:
            if method == "PUT" and path == f"/{bucket}":
                self.owners[bucket] = key.access if key else ""
                return Answer(200)
            return Answer(404) if method == "HEAD" else error(404, "NoSuchBucket")
        if not self.open and key != ROOT and (key is None or self.owners[bucket] != key.access):
            return error(403, "AccessDenied")
        if method == "PUT":
            self.objects[path] = body
        elif method == "DELETE":
            self.objects.pop(path, None)
        elif path != f"/{bucket}":
            found = b"something else" if self.forgetful else self.objects.get(path, b"")
            return Answer(200, found) if path in self.objects else error(404, "NoSuchKey")
        return Answer(200)


def listing(root: str, entries: list[tuple[str, dict[str, str]]]) -> bytes:
    tree = ElementTree.Element(root)
    for name, texts in entries:
        entry = ElementTree.SubElement(tree, name)
        for child, text in texts.items():
            ElementTree.SubElement(entry, child).text = text
    return ElementTree.tostring(tree)
