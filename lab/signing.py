"""The key that signs the site's package repositories: made once, in the cache, for this machine's labs alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import paths
from lab.run import run

NAME = "Groundwork lab mirror"
_HOME = paths.KEYS / "apt"
_PUBLIC = paths.KEYS / "groundwork-lab.asc"


def public_key() -> Path:
    """The public key, ASCII-armored; makes the pair if there is none."""
    with paths.locked("signing"):
        if not _PUBLIC.exists():
            _make()
    return _PUBLIC


def sign(release: Path) -> None:
    """Sign a repository's Release file: InRelease and Release.gpg appear beside it."""
    public_key()
    with paths.locked("signing"), _gpg() as gpg:
        gpg += ["--armor", "--yes", f"--local-user={NAME}"]
        run([*gpg, "--output", release.with_name("InRelease"), "--clearsign", release])
        run([*gpg, "--output", release.with_name("Release.gpg"), "--detach-sign", release])


def _make() -> None:
    _HOME.mkdir(parents=True, exist_ok=True)
    _HOME.chmod(0o700)
    with _gpg() as gpg:
        run([*gpg, "--quick-generate-key", NAME, "ed25519", "sign", "never"])
        exported = run([*gpg, "--armor", "--export", NAME])
    temporary = _PUBLIC.with_suffix(".new")
    temporary.write_text(exported)
    temporary.rename(_PUBLIC)


@contextmanager
def _gpg() -> Iterator[list[str | Path]]:
    """A gpg command; the agent that gpg starts does not outlive the block."""
    home = f"--homedir={_HOME}"
    try:
        yield ["gpg", home, "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase="]
    finally:
        run(["gpgconf", home, "--kill", "all"])
