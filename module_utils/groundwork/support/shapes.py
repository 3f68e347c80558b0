"""How a secret is known that nobody told us of: by its own form, or by the name that stands beside it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

Spares = Callable[[re.Match[str]], bool]


@dataclass(frozen=True)
class Rule:
    """Where a secret stands: the group `secret` of a pattern, unless the match is one that is spared."""

    kind: str
    pattern: re.Pattern[str]
    spares: Spares


NAME = (
    r"pass(?:word|wd|phrase|code)|[_-]pwd|pgpass|secret|token(?!iz)|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"signing[_-]?key|encryption[_-]?key|account[_-]?key|license[_-]?key|key-data|credential|cookie|signature|bearer|"
    r"session[_-]?id|connection[_-]?string|(?<![^\W_])auth(?![^\W_])|authorization|psk(?![^\W_])"
)
"""What a name holds whose value is secret."""
TELLS_OF_ONE = re.compile(
    r"(?:names?|namespace|files?|paths?|dir|directory|folder|refs?|ttl|seconds|minutes|hours|days|expir\w*|counts?|"
    r"types?|modes?|kind|polic(?:y|ies)|version|url|uri|issuer|class|enabled|required|optional|providers?|bytes|size|"
    r"length|limit|max|min|source|controller|lifetime|audiences?|reviews?|age|webhook\w*|per|cert-hash)$",
    re.I,
)
"""How a name ends whose value tells of a secret, and is none."""
NO_VALUE = re.compile(
    r"(?:true|false|null|nil|none|yes|no|~|-|\{\}|\[\]|<(?:none|unset|nil|unknown|no value)>|<set(?: to the key .*)?|"
    r"amd64|arm64|i386|all)$",
    re.I,
)
"""What stands where a value would; after a package that is called passwd, an architecture."""

START = r"(?<![\w.-])"
WITHIN = rf"(?P<key>[\w.-]{{0,80}}?(?:{NAME})[\w.-]{{0,60}})"
KEY = f"{START}{WITHIN}"
LINE = r"^(?P<indent>[ \t]*(?:- )?)[\"']?"
Q = r"\\*[\"']?"
"""A quote, or none; with backslashes before it within JSON that is a string of JSON."""
OPEN = r"(?P<quote>\\*[\"'])"
CLOSE = r"(?<!\\)(?P=quote)(?!(?P=quote))(?=[\\\"'`}\])]*(?:[\s,;:&>|]|\\[nrt]|$))"
QUOTED = rf"{OPEN}(?P<secret>(?:(?!{CLOSE})(?:\\[^\n]|[^\n]))*)"
"""A quoted value, up to the quote that ends it: as JSON, YAML and shells write it, and JSON within JSON."""
NO_QUOTE = r"(?!\\*[\"'])"
PLAIN = rf"{NO_QUOTE}(?![{{\[]|[|>][-+\d]*[ \t]*$)"
"""What follows is a value without quotes: no map, no list, no sign of a block."""
WORD = r"(?P<secret>\S[^\s\"']*)"
NO_KEY = r"(?![\"']?[\w./-]+[\"']?:(?:\s|$))"

PEM_NAME = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
PEM_BODY = r"(?:\\+[nr]|\s|[A-Za-z0-9+/=]|[A-Za-z-]+: [^\n\\]*)+"
PEM_LINE = r"[ \t]*[A-Za-z0-9+/=]{4,80}(?:\s*\n|\\+n)"


def _never(_match: re.Match[str]) -> bool:
    return False


def _is_no_secret(match: re.Match[str]) -> bool:
    """A name that only tells of a secret, a value that is none, or a count of a language model's tokens."""
    key, secret = match["key"], match["secret"].strip()
    if TELLS_OF_ONE.search(key) or ("tokens" in key.lower() and re.fullmatch(r"[\d.,]+", secret)):
        return True
    bare = secret.rstrip(",;)}]")
    return not bare.strip("\\\"' ") or bool(NO_VALUE.match(secret) or NO_VALUE.match(bare))


def _is_no_login(match: re.Match[str]) -> bool:
    """Whether what follows the word Basic is a word of prose: a login, decoded, has a colon."""
    encoded = match["secret"].rstrip("=")
    try:
        return b":" not in base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        return True


def _is_public(match: re.Match[str]) -> bool:
    """Whether a PEM block in base64 is something for everybody, as a certificate is."""
    return b"PRIVATE KEY" not in base64.b64decode(match["secret"][:64])


def _form(kind: str, pattern: str, spares: Spares = _never) -> Rule:
    return Rule(kind, re.compile(pattern, re.I | re.M), spares)


def _named(pattern: str) -> Rule:
    return Rule("value", re.compile(pattern, re.I | re.M), _is_no_secret)


IN_TEXT = (
    # Keys first: their lines would be taken for something else. The second is one whose beginning was cut off.
    _form("private key", rf"-----BEGIN {PEM_NAME}(?P<secret>{PEM_BODY})"),
    _form("private key", rf"(?:^|(?<=\\n))(?P<secret>(?:{PEM_LINE})+)[ \t]*-----END {PEM_NAME}"),
    _form("private key", r"(?<![\w+/])(?P<secret>LS0tLS1CRUdJTi[A-Za-z0-9+/]{50,}={0,2})", _is_public),
    # IP:25000/TOKEN/CHECK, as `microk8s add-node` prints it and `microk8s join` is given it.
    _form("join token", r":25000/(?P<secret>[\w-]{8,}(?:/[\w-]+)?)"),
    # JSON Web Tokens; what GitHub, GitLab, Hugging Face, NVIDIA, Slack, Google, AWS and others give; kubeadm's tokens.
    _form("token", r"(?<![\w-])(?P<secret>eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"),
    _form("token", r"\b(?P<secret>gh[pousr]_\w{30,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,})"),
    _form("token", r"\b(?P<secret>nvapi-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|sk-[\w-]{20,}|AIza[\w-]{30,}|pypi-\w{30,})"),
    _form("token", r"\b(?P<secret>(?-i:A[KS]IA[0-9A-Z]{16})|npm_\w{30,}|(?<![.\w])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.]))"),
    # What stands for a password in a file of users.
    _form("password", r"(?P<secret>\$(?:2[abxy]?|5|6|y|apr1|argon2\w*)\$[\w./$=,+-]{20,}|SCRAM-SHA-256\$\S+)"),
    # Headers, as programs print requests.
    _form(
        "header",
        rf"{START}(?:proxy-)?authorization{Q}\]?\s*[:=]\s*\[?{Q}(?P<secret>(?:[\w-]+\s+)?[^\s\"'\\\]][^\"'\n\]]*)",
    ),
    _form("header", rf"{START}(?:set-)?cookie{Q}\s*[:=]\s*{Q}(?P<secret>[^\s\"'\\][^\"'\n]*)"),
    _form("token", r"\bbearer\s+(?P<secret>(?=\S*\d)[\w.~+/=-]{8,})"),
    _form("password", r"\bbasic\s+(?P<secret>[A-Za-z0-9+/]{6,}={0,2})", _is_no_login),
    # A login in a URL; the last @ before a blank ends it, since passwords may hold one.
    _form("password", r"\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@\"'<>]*:(?P<secret>[^\s\"'<>]+)@(?=[\w\[.-])"),
    _form("token", r"\b[a-z][a-z0-9+.-]{0,30}://(?P<secret>[^\s:/@\"'<>]{16,})@(?=[\w\[.-])"),
    # The name and the value of a variable in Kubernetes' environment.
    _named(rf"\bname{Q}\s*:\s*{Q}{KEY}{Q}\s*,?\s*{Q}value{Q}\s*:\s*{QUOTED}"),
    _named(rf"\bname{Q}\s*:\s*{Q}{KEY}{Q}\s*,?\s*{Q}value{Q}:[ \t]+{NO_QUOTE}(?P<secret>\S[^\n]*)$"),
    # Below a name: a block, a list of words, one word; a list beside it.
    _named(rf"{LINE}{KEY}[\"']?:[ \t]*[|>][-+\d]*[ \t]*\n(?P<secret>(?:(?P=indent)[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)+)"),
    _named(rf"{LINE}{KEY}[\"']?:[ \t]*\n(?P<secret>(?:(?P=indent)[ \t]*- {NO_KEY}[^\n]*(?:\n|\Z))+)"),
    _named(rf"{LINE}{KEY}[\"']?:[ \t]*\n(?P=indent)[ \t]+(?P<secret>{NO_KEY}[^\s:{{\[#-][^\n]*)$"),
    _named(rf"{START}--?{WITHIN}{Q},?\s*\n\s*(?:-[ \t]+)?{Q}(?P<secret>[^\s\"'\\-][^\s\"']*)"),
    # Programs' other words for a login.
    _form("password", r"(?<![\w-])(?:-u|--user)[ =]+[\"']?[^\s:\"']+:(?P<secret>[^\s\"']+)"),
    _form("password", r"\b(?:sshpass|mysql\w*|mariadb[\w-]*)\b[^\n]{0,200}?\s-p\s?(?P<secret>[^\s-]\S*)"),
    _form("password", r"^[^\s:#/]+:(?:\d{2,5}|\*):[^\s:]+:[^\s:]+:(?P<secret>\S+)$"),
)
"""What is looked for in a whole text, in this order."""

IN_LINES = (
    _named(rf"{KEY}{Q}\]?\s*[:=]\s*\[(?P<secret>[^\]{{}}]+)\]"),
    _named(rf"{KEY}{Q}\]?[ \t]*(?::=|=>|[:=])[ \t]*{QUOTED}"),
    _named(rf"{LINE}{KEY}[\"']?[ \t]*(?::[ \t]+|[ \t]=[ \t]){PLAIN}(?P<secret>\S[^\n]*)$"),
    _named(rf"^(?:export[ \t]+)?{KEY}={NO_QUOTE}(?P<secret>\S[^\n]*?)(?=[ \t]+[\w.-]+=|[ \t]*$)"),
    _named(rf"{KEY}{Q}\]?[ \t]*:?=>?[ \t]*{NO_QUOTE}{WORD}"),
    _named(rf"{KEY}{Q}\]?:(?!:)[ \t]*{PLAIN}{WORD}"),
    _named(rf"{START}--?{WITHIN}{Q},?[ \t]+{Q}(?P<secret>[^\s\"'\\-][^\s\"']*)"),
    _named(rf"<{KEY}>(?P<secret>[^<\n]+)</"),
)
"""What is looked for in lines that HINT is in, each of which costs more than all of IN_TEXT."""

HINT = re.compile(rf"(?:{NAME})[\w.-]{{0,60}}(?:{Q}\]?[ \t]*[:=>]|{Q},?[ \t])")
"""In the small letters of a line: a name, and a sign that a value follows."""
