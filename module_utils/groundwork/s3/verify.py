"""An object store, judged from outside: by somebody with a key, and by somebody without one."""

from __future__ import annotations

import secrets

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Answer, Key, Store

ANSWERS, KEY_IS_RIGHT = "object_store.answers", "object_store.key_is_right"
KEEPS, REFUSES = "object_store.keeps_objects", "object_store.refuses_strangers"
BAD_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
REFUSALS = (400, 401, 403)
"""Versity S3 Gateway calls a request without a signature a malformed one, 400; others say 401 or 403."""
WORD_BYTES = 1 << 16


def look(store: Store, endpoint: str, key: Key) -> list[Check]:
    """Whether a store answers and knows the key. Nothing is written."""
    try:
        answer = store.ask("GET", "/", key)
    except GroundworkError as error:
        answers = failed(ANSWERS, error.message, f"{endpoint} answers", error.remedy)
        return [answers, skipped(KEY_IS_RIGHT, "the object store does not answer")]
    # a key that may use its bucket and not list buckets is right as well: then it is AccessDenied
    right = answer.good or (answer.status == 403 and answer.code not in BAD_KEYS)
    return [
        ok(ANSWERS, f"{endpoint} answers"),
        judge(
            KEY_IS_RIGHT,
            right,
            f"{endpoint} accepts the key {key.access}" if right else f"the key {key.access}: {_said(answer)}",
            "the object store knows the key and its secret",
            "Correct the access key and its secret; compare region and clock too, which are part of the signature.",
        ),
    ]


def prove(store: Store, bucket: str, key: Key) -> list[Check]:
    """Whether objects are kept for who has the key, and for nobody else. What was written is deleted."""
    path = f"/{bucket}/verify-{secrets.token_hex(8)}"
    word = secrets.token_bytes(WORD_BYTES)
    try:
        faults = _faults(store, path, key, word)
        opened = [] if faults else _opened(store, path, bucket)
        store.ask("DELETE", path, key)
    except GroundworkError as error:
        return [failed(KEEPS, error.message, "an object is written and read", error.remedy),
                skipped(REFUSES, "the object store does not answer")]  # fmt: skip
    return [_keeps(bucket, faults), _refuses(opened) if not faults else skipped(REFUSES, "no object could be written")]


def _faults(store: Store, path: str, key: Key, word: bytes) -> list[str]:
    written = store.ask("PUT", path, key, body=word)
    if not written.good:
        return [f"writing: {_said(written)}"]
    read = store.ask("GET", path, key)
    if not read.good:
        return [f"reading: {_said(read)}"]
    return [] if read.body == word else ["what is read is not what was written"]


def _opened(store: Store, path: str, bucket: str) -> list[str]:
    """What somebody without a key is not refused."""
    asked = [("GET", path, b""), ("PUT", f"{path}-stranger", b"x"), ("DELETE", path, b""), ("GET", f"/{bucket}", b""),
             ("GET", "/", b""), ("PATCH", "/list-users", b"")]  # fmt: skip
    answers = [(f"{method} {at}", store.ask(method, at, None, body=body)) for method, at, body in asked]
    return [f"{request}: HTTP {answer.status}" for request, answer in answers if answer.status not in REFUSALS]


def _keeps(bucket: str, faults: list[str]) -> Check:
    return judge(
        KEEPS,
        not faults,
        "; ".join(faults) or f"an object of {WORD_BYTES >> 10} KiB was written to {bucket}, read and compared",
        "an object is written, read back and the same",
        "See the object store's log, and that its volume has space: `kubectl logs -n object-store deploy/versitygw`.",
    )


def _refuses(opened: list[str]) -> Check:
    return judge(
        REFUSES,
        not opened,
        "; ".join(opened) or "nothing is read, written, listed or administered without a key",
        "every request without a key is refused",
        "Take away the policy or access list that lets everybody in.",
    )


def _said(answer: Answer) -> str:
    return f"HTTP {answer.status} {answer.code}".strip()
