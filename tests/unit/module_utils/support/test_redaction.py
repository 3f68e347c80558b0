"""What is secret goes, in every shape in which programs write it; what is not stays as it is."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse

import pytest
import yaml
from ansible.module_utils.groundwork.support.redaction import MARK, forms, redact
from hypothesis import example, given
from hypothesis import strategies as st

PLANTED = "s3cr3t-Zx9/Qk+77"
PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEA7bq0c2s1ZJxk1mC9x7Wv0e5S0cQ4kVY9nUq3m8Qm2pXwT0aF
ZZ5b1c4kqgqv1l6m9ZJ0dT2W3n4cX5yB6zA7aB8cD9eE0fF1gG2hH3iI4jJ5kK6l
-----END RSA PRIVATE KEY-----
"""
BODY = PEM.splitlines()[1]
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLXBhcnQtb2YtaXQ"

SHAPES = [
    "password={}",
    "PGPASSWORD={} psql -h db",
    "export MLFLOW_TRACKING_PASSWORD={}",
    "Environment=RAY_AUTH_TOKEN={} HOME=/root",
    "    MLFLOW_FLASK_SERVER_SECRET_KEY:  {}",
    "password: {}",
    "- token: {}",
    "secret_key = {}",
    'level=error msg="no login" token={} user=bob',
    '{{"username": "bob", "password": "{}", "x": 1}}',
    "{{'password': '{}', 'x': 1}}",
    '{{"access_key":"k","secretKey":"{}"}}',
    r'{{"message":"{{\"password\":\"{}\",\"x\":1}}"}}',
    r"last-applied: {{\"env\":[{{\"name\":\"DB_PASSWORD\",\"value\":\"{}\"}}]}}",
    '{{"name":"S3_SECRET_KEY","value":"{}"}}',
    "      - name: DB_PASSWORD\n        value: {}",
    '      - name: DB_PASSWORD\n        value: "{}"',
    "args: [--password, {}]",
    '  "--token", "{}",',
    "      - --s3-secret-key\n      - {}",
    "      - --client-token={}",
    "ExecStart=/usr/bin/thing --password {} --port 1",
    "curl -u admin:{} https://host/",
    "sshpass -p {} ssh host",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    "> Authorization: {}",
    "headers={{'Authorization': 'Token {}'}}",
    "Cookie: session={}",
    "Set-Cookie: sid={}; Path=/",
    "X-Auth-Token: {}",
    "x-amz-security-token: {}",
    "GET /api?token={}&user=bob HTTP/1.1",
    "passwords: [{}, other]",
    "passwords:\n- {}\n- other",
    "  client_secret: |\n    {}\n  next: 1",
    "  token:\n    {}\n  next: 1",
    "<password>{}</password>",
    "pw map[password:{} user:bob]",
    "host=db port=5432 password={} user=bob",
    "    token: {}\n",
    "    client-key-data: {}\n",
    "microk8s join 10.0.0.5:25000/{}",
    "credentials:{}",
    "api-key => {}",
    "db:5432:mlflow:mlflow:{}",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_goes_in_every_shape(shape: str) -> None:
    found = redact(shape.format(PLANTED))
    assert PLANTED not in found.text
    assert MARK in found.text
    assert found.removed >= 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mlflow:{}@mlflow-rw.postgresql.svc:5432/mlflow?sslmode=verify-full",
        "postgresql+psycopg2://mlflow:{}@db/mlflow",
        "http://proxy-user:{}@proxy:3128",
        "redis://:{}@redis:6379/0",
        "https://{}@git.example/repository.git",
    ],
)
def test_logins_in_urls(url: str) -> None:
    for secret in (PLANTED.replace("/", "%2F") + "0000", "pa@ss:w/ord-of-more-than-16" if ":" in url[8:] else "x" * 20):
        found = redact(f"connecting to {url.format(secret)} now")
        assert secret not in found.text
        assert found.text.startswith("connecting to ")
        assert found.text.endswith(" now")


@pytest.mark.parametrize(
    "token",
    [
        JWT,
        "ghp_" + "a1B2" * 9,
        "hf_" + "aBcD" * 8,
        "nvapi-" + "x1-_" * 10,
        "glpat-" + "x1Yz" * 5,
        "AKIAIOSFODNN7EXAMPLE",
        "abcdef.0123456789abcdef",
        "$2b$12$" + "abcdefghijklmnopqrstuv" + "x" * 31,
        "$6$salt$" + "a" * 86,
        "SCRAM-SHA-256$4096:c2FsdA==$a:b",
    ],
)
def test_tokens_are_known_by_their_form(token: str) -> None:
    assert token not in redact(f"something said {token} there").text


@pytest.mark.parametrize("indent", ["", "    "])
def test_private_keys(indent: str) -> None:
    text = "".join(f"{indent}{line}\n" for line in PEM.splitlines())
    found = redact(f"before\n{text}after\n")
    assert BODY not in found.text
    assert found.text.startswith("before\n")
    assert found.text.endswith("after\n")


def test_private_keys_within_json_and_base64_and_cut_off() -> None:
    for text in (
        json.dumps({"key": PEM}),
        json.dumps(json.dumps({"key": PEM})),
        PEM[: PEM.index("-----END")],  # its end is missing
        PEM[PEM.index("\n") + 5 :],  # its beginning
        "\n".join(PEM.splitlines()[:2]),
    ):
        assert BODY[10:] not in redact(text).text, text
    encoded = base64.b64encode(PEM.encode()).decode()
    assert encoded[:80] not in redact(f"tls.key: {encoded}").text
    assert encoded[:80] not in redact(f"something else {encoded} there").text


def test_a_kubeconfig_keeps_only_what_is_public() -> None:
    public = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" * 4).decode()
    secret = base64.b64encode(PEM.encode()).decode()
    text = yaml.safe_dump(
        {
            "clusters": [{"cluster": {"certificate-authority-data": public, "server": "https://10.0.0.5:16443"}}],
            "users": [
                {"name": "admin", "user": {"client-certificate-data": public, "client-key-data": secret}},
                {"name": "other", "user": {"token": "Zm9vYmFyYmF6cXV4Zm9v"}},
            ],
        },
        width=10**6,
    )
    found = redact(text).text
    assert secret[:60] not in found
    assert "Zm9vYmFyYmF6cXV4Zm9v" not in found
    assert found.count(public) == 2
    assert "server: https://10.0.0.5:16443" in found


def test_what_add_node_prints() -> None:
    printed = "d2b1a5f0c3e44f6d9a8b7c6d5e4f3a2b/2f1e0d9c8b7a"
    text = json.dumps({"token": printed, "urls": [f"10.0.0.5:25000/{printed}", f"[fd00::5]:25000/{printed}"]})
    found = redact(f"{text}\nmicrok8s join 10.0.0.5:25000/{printed} --worker\n").text
    assert printed.split("/")[0] not in found
    assert printed.split("/")[1] not in found
    assert "--worker" in found


HARMLESS = """\
Driver Version                            : 580.126.09
CUDA Version                              : 13.0
    Product Name                          : NVIDIA H100 80GB HBM3
    GPU UUID                              : GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1
    Bus Id                                : 00000000:1B:00.0
NVRM: Xid (PCI:0000:1b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build
tmpfs on /run/secrets/kubernetes.io/serviceaccount type tmpfs (ro,relatime)
automountServiceAccountToken: false
    secretName: mlflow-client
      secretKeyRef: {name: mlflow-client, key: MLFLOW_TRACKING_PASSWORD}
      MLFLOW_TRACKING_PASSWORD:  <set to the key 'MLFLOW_TRACKING_PASSWORD' in secret 'mlflow-client'>  Optional: false
--token-auth-file=/var/snap/microk8s/current/credentials/known_tokens.csv
--service-account-key-file=${SNAP_DATA}/certs/serviceaccount.key
--authorization-mode=RBAC,Node
--authentication-token-webhook=true
max_tokens: 4096
tokens=512 tokenizer=bert
    token-ttl: 300
imagePullSecrets:
- name: registry
Basic authentication is off
Upgrade: login:amd64 (1:4.13), passwd:amd64 (1:4.13+dfsg1-1+deb12u1), passwd:all
n1   Ready    <none>   3d   v1.36.1   10.0.0.5   <none>   Debian GNU/Linux 12 (bookworm)
MemTotal:       24689756 kB
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/var/snap/microk8s/current/args/certs.d"
Environment=PATH=/usr/bin HOME=/root PWD=/root
Nov 29 17:50:01 n1 systemd[1]: Started snap.microk8s.daemon-containerd.service.
2026-11-29T17:50:01Z GET https://10.0.0.5:16443/api/v1/namespaces/ray/pods?limit=500 200 OK
-----BEGIN CERTIFICATE-----
MIIDDTCCAfWgAwIBAgIUQ0m1c2hlZCBieSBub2JvZHkgYXQgYWxsMA0GCSqGSIb3
-----END CERTIFICATE-----
pod/ray-head-abcde: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.
uuid: 5f2b1a3c-77aa-4d0e-9f3b-2a6c1c0b9d8e sha256:2d46f9865e0d42bd05eb302b86523a78f92f3b692bab9b63aa7557296dce3048
"""


def test_what_is_no_secret_stays() -> None:
    for line in HARMLESS.splitlines():
        assert redact(line).text == line
    assert redact(HARMLESS).text == HARMLESS
    assert redact(HARMLESS).removed == 0


def test_what_was_taken_out_is_not_taken_out_again() -> None:
    for shape in SHAPES:
        once = redact(shape.format(PLANTED)).text
        assert redact(once).text == once


def test_a_line_of_many_letters_takes_no_time() -> None:
    blob = "A1b2" * 500_000
    assert redact(f"{blob}\npassword={PLANTED}\n").text == f"{blob}\npassword={MARK}: value>\n"


PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
PROSE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
INNOCENT = st.text(st.sampled_from("ghijkl ,.\n"), max_size=20)


@given(text=PRINTABLE, before=PROSE, after=PROSE)
@example(text="ab\"cd\\ef'gh", before="", after="")
@example(text="a b@c/d:e#f", before="x", after="y")
def test_a_known_secret_goes_in_all_forms_whatever_stands_around_it(text: str, before: str, after: str) -> None:
    known = forms([text])
    written = (
        text,
        json.dumps(text),
        json.dumps(json.dumps({"anything": text})),
        urllib.parse.quote(text, safe=""),
        yaml.safe_dump({"x": text}, width=10**6),
        base64.b64encode(text.encode()).decode(),
        base64.urlsafe_b64encode(f"user:{text}".encode()).decode(),
        base64.b64encode(f"{before}{text}{after}".encode()).decode(),
    )
    for form in written:
        found = redact(f"{before} {form} {after}", known).text
        assert text not in found or text in f"{before} {after}"
        assert not any(text.encode() in run for run in base64_runs(found)), (form, found)


def base64_runs(text: str) -> list[bytes]:
    """What the words of a text are, where they are base64."""
    found = []
    for word in text.split():
        try:
            found.append(base64.b64decode(word, altchars=b"-_", validate=True))
        except ValueError:
            continue
    return found


@given(secret=PRINTABLE, before=INNOCENT, after=INNOCENT, name=st.sampled_from(["password", "AUTH_TOKEN", "secretKey"]))
def test_what_a_name_calls_secret_goes_however_it_is_written(secret: str, before: str, after: str, name: str) -> None:
    """Without being known: as YAML, JSON, JSON within JSON, in a shell, in a URL, by their libraries."""
    written = (
        yaml.safe_dump({"a": 1, name: secret, "z": 2}, width=10**6),
        json.dumps({"a": 1, name: secret, "z": 2}),
        json.dumps({"a": 1, name: secret, "z": 2}, indent=2),
        json.dumps({"message": json.dumps({name: secret, "z": 2})}),
        json.dumps([{"name": name, "value": secret}]),
        yaml.safe_dump([{"name": name, "value": secret}], width=10**6),
        f"{name}={shlex.quote(secret)} run",
        f"https://host/?a=1&{urllib.parse.urlencode({name: secret})}&z=2",
        f"postgresql://user:{urllib.parse.quote(secret, safe='')}@host/db",
    )
    for text in written:
        found = redact(f"{before}\n{text}\n{after}").text
        rests = {secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)}
        assert not any(rest in found for rest in rests), (text, found)
        assert not any(part in found for part in pieces(secret)), (text, found)


def pieces(secret: str) -> list[str]:
    """Parts of a secret that nothing else of these texts holds: a rest of it is a leak, too."""
    return [part for part in (secret[:6], secret[-6:]) if not any(part in known for known in KNOWN_TEXTS)]


KNOWN_TEXTS = ("https://host/?a=1&", "postgresql://user:", "removed: value", "removed: password")


@given(text=st.text(max_size=200))
def test_any_text_is_taken_and_a_second_time_changes_nothing(text: str) -> None:
    once = redact(text).text
    assert redact(once).text == once
