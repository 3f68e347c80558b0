"""The store: the lab's tree of snaps by HTTP: NAME/TRACK/RISK/NAME.snap with its assertions, and NAME/channels."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from . import assertions, contents, layout
from .errors import SnapError
from .state import Snap

TIMEOUT_SECONDS = 30
RISKS = ("stable", "candidate", "beta", "edge")


def full_channel(channel: str) -> str:
    """TRACK/RISK of what a user may write: track, risk, or both."""
    if not channel:
        return "latest/stable"
    track, slash, risk = channel.partition("/")
    if slash:
        return f"{track}/{risk}"
    return f"latest/{track}" if track in RISKS else f"{track}/stable"


def fetch(name: str, channel: str) -> Snap:
    """Download a snap with its assertions and verify it.

    Raises:
        SnapError: the store cannot be reached, has no such snap or channel, or what came is not what was asserted.
    """
    where = f"{_address()}/{name}/{channel}/{name}"
    text = _get(f"{where}.assert", name, channel).decode()
    try:
        asserted = assertions.add(text)
    except ValueError as error:
        raise SnapError(f"cannot fetch and check assertions for snap {name!r}: {error}") from None
    file = _download(f"{where}.snap", name, channel)
    if (digest := contents.digest_of(file)) != asserted.digest:
        file.unlink()
        raise SnapError(
            f'cannot download snap "{name}": sha3-384 mismatch: got {digest} but expected {asserted.digest}'
        )
    return contents.read(digest, file, asserted.revision, True, channel)


def channels(name: str) -> list[str]:
    """The channels of a snap; none if the store has no such snap.

    Raises:
        SnapError: the store cannot be reached.
    """
    try:
        return _get_raw(f"{_address()}/{name}/channels").decode().split()
    except urllib.error.HTTPError:
        return []


def _address() -> str:
    address = layout.setting("store")
    if not address:
        raise SnapError("unable to contact snap store")
    return str(address).rstrip("/")


def _get(address: str, name: str, channel: str) -> bytes:
    try:
        return _get_raw(address)
    except urllib.error.HTTPError:
        raise _not_available(name, channel) from None


def _get_raw(address: str) -> bytes:
    try:
        with _opener().open(address, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError:
        raise
    except OSError:
        raise SnapError("unable to contact snap store") from None


def _opener() -> urllib.request.OpenerDirector:
    """HTTP alone: an address like file:///etc/shadow is not the store's."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    return opener


def _download(address: str, name: str, channel: str) -> Path:
    file = layout.STATE / "cache" / f"{name}.snap"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_get(address, name, channel))
    return file


def _not_available(name: str, channel: str) -> SnapError:
    others = channels(name)
    if not others:
        return SnapError(f'snap "{name}" not found')
    listed = "\n".join(f"  {other}  snap install --channel={other.removesuffix('/stable')} {name}" for other in others)
    return SnapError(
        f'snap "{name}" is not available on {channel} '
        f"but is available to install on the following tracks:\n{listed}\n\n"
        f"Please be mindful that different tracks may include different features.\n"
        f"Get more information with 'snap info {name}'."
    )
