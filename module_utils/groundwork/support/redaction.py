"""Secrets taken out of text before anybody else sees it.

Two ways, since neither is enough: by their shape and by the names that stand beside them (shapes.py), for what nobody
told us of; and literally, for what is known to be secret, in each form in which programs write it. In doubt a word
goes: who reads a bundle can ask for one that is missing, and nobody can take back one that was sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from ansible.module_utils.groundwork.support.shapes import HINT, IN_LINES, IN_TEXT, Rule

KNOWN_LENGTH = 6
"""A known secret that is shorter would take away words that mean nothing."""
LINE_LENGTH = 32
"""From here on a line of a known text, such as a key's, is as secret as the whole."""
TOKEN = re.compile(r"[A-Za-z0-9+/_=]{24,}")
MARK = "<removed"


@dataclass(frozen=True)
class Redacted:
    """A text without secrets, and how many were taken out of it."""

    text: str
    removed: int


def redact(text: str, known: Iterable[str] = ()) -> Redacted:
    """Take secrets out of a text: those that are known first, whose forms are certain, then what looks like one.

    known  forms of secrets, as `forms` gives them
    """
    found = take_out(text, known)
    text, removed = found.text, found.removed
    for rule in IN_TEXT:
        text, count = _apply(rule, text)
        removed += count
    lines = [_redact_line(line) for line in text.split("\n")]
    return Redacted("\n".join(line for line, _ in lines), removed + sum(count for _, count in lines))


def take_out(text: str, known: Iterable[str]) -> Redacted:
    """Take out what is known alone, which is all that is left to do where the rest was done before."""
    removed = 0
    for form in known:
        if form in text:
            removed += text.count(form)
            text = text.replace(form, mark("known"))
    return Redacted(text, removed)


def mark(kind: str) -> str:
    """What stands where a secret stood."""
    return f"{MARK}: {kind}>"


def forms(secrets: Iterable[str]) -> list[str]:
    """Every form in which these may stand in a text, long ones first, so that none leaves a rest of another."""
    found = {form for secret in secrets for form in _forms(secret.strip())}
    return sorted((form for form in found if len(form) >= KNOWN_LENGTH), key=lambda form: (-len(form), form))


def tokens(text: str) -> list[str]:
    """What may be a token in a file that holds such: long words with digits, whatever the file's format.

    >>> tokens("kubeconfig: {token: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}, certificate-authority-data")
    ['MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3']
    """
    return [word for word in TOKEN.findall(text) if any(letter.isdigit() for letter in word)]


def _redact_line(line: str) -> tuple[str, int]:
    """Most lines hold no word that names a secret, and are not looked at twice."""
    removed = 0
    if HINT.search(line.lower()):
        for rule in IN_LINES:
            line, count = _apply(rule, line)
            removed += count
    return line, removed


def _apply(rule: Rule, text: str) -> tuple[str, int]:
    """The text without what a rule finds, and how often it did."""
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        secret = match["secret"]
        if not secret or secret.lstrip("\\\"'").startswith(MARK) or rule.spares(match):
            return match[0]
        count += 1
        start, end = (position - match.start() for position in match.span("secret"))
        return f"{match[0][:start]}{mark(rule.kind)}{match[0][end:]}"

    return rule.pattern.sub(replace, text), count


def _forms(text: str) -> Iterator[str]:
    if len(text) < KNOWN_LENGTH:
        return
    yield from (text, *_long_lines(text))
    escaped = json.dumps(text)[1:-1]
    yield from (escaped, json.dumps(escaped)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from (quote(text), quote(text, safe=""), quote_plus(text), text.replace("'", "''"))
    yield from _encoded(text.encode())
    yield from _encoded(f"{text}\n".encode())


def _long_lines(text: str) -> Iterator[str]:
    """Of a text with several lines those that are secret by themselves, as a key's are."""
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= LINE_LENGTH and not line.startswith("-----"))


def _encoded(secret: bytes) -> Iterator[str]:
    """In base64, whatever stands before and after it: of each of three alignments what depends on the secret alone."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret).decode()
        inner = whole[(shift * 8 + 5) // 6 : (len(secret) + shift) * 8 // 6]
        if len(inner) >= 8:
            yield from (inner, inner.replace("+", "-").replace("/", "_"))
