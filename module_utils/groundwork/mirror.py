"""Whether the site's mirrors answer."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.groundwork.check import Check, judge, skipped

ANSWERS = {401, 403}
"""A registry that wants a login, and a folder that may not be listed, are there all the same."""

Ask = Callable[[str, float], str]


def check(mirrors: Mapping[str, str], timeout_seconds: float, ask: Ask) -> list[Check]:
    """A verdict on each mirror: `mirrors` holds by variable the URL to ask for, empty where none is set."""
    with ThreadPoolExecutor(max_workers=len(mirrors) or 1) as pool:
        return list(pool.map(lambda one: _one(one, mirrors[one], timeout_seconds, ask), mirrors))


def fetch(url: str, timeout_seconds: float) -> str:
    """What is wrong with the answer for `url`; empty where nothing is."""
    try:
        with _web().open(url, timeout=timeout_seconds):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in ANSWERS else f"HTTP {error.code} {error.reason}"
    except (OSError, ValueError) as error:  # URLError is an OSError; a malformed URL is a ValueError
        return str(getattr(error, "reason", error))


def download(url: str, timeout_seconds: float, limit_bytes: int) -> bytes:
    """A file of a mirror, up to a size.

    Raises OSError where it does not answer or has no such file, ValueError for what is no URL.
    """
    with _web().open(url, timeout=timeout_seconds) as answer:
        content: bytes = answer.read(limit_bytes)
    return content


def _web() -> urllib.request.OpenerDirector:
    """What opens http and https alone: a mirror is no file of this host."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _one(variable: str, url: str, timeout_seconds: float, ask: Ask) -> Check:
    name = f"site.{variable.removeprefix('site_').removesuffix('_url')}_answers"
    if not url:
        return skipped(name, f"{variable} is not set")
    fault = ask(url, timeout_seconds)
    return judge(
        name,
        not fault,
        f"{url}: {fault or 'answers'}",
        f"{url} answers within {timeout_seconds:.0f} s",
        f"Start the mirror, correct {variable}, or open the way to it from this host (name resolution, firewall).",
    )
