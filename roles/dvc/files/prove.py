"""Proves a DVC remote by DVC itself: what is pushed is pulled, and what was damaged in between is not taken for it.

The remote is the one that DVC_SYSTEM_CONFIG_DIR tells of; BUCKET and the environment of AWS's programs name the same
one, since DVC has no way to damage an object.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from botocore.session import get_session  # DVC's own way to S3 brings it

WORD_BYTES = 1 << 20


def dvc(*words: str) -> subprocess.CompletedProcess[str]:
    """Run DVC, as a person would, and tell how it ended."""
    return subprocess.run([sys.executable, "-m", "dvc", *words], text=True, capture_output=True, check=False)


def need(*words: str) -> str:
    """Run DVC, which must do what it is told."""
    done = dvc(*words)
    if done.returncode:
        sys.exit(f"dvc {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def forget(word: Path) -> None:
    """Have the remote be the only one that has the word."""
    word.unlink(missing_ok=True)
    shutil.rmtree(".dvc/cache", ignore_errors=True)


def prove(store: Any, word: Path) -> str:
    """Push, pull, compare; damage, pull. Returns what is wrong, or nothing."""
    content = secrets.token_bytes(WORD_BYTES)
    word.write_bytes(content)
    need("add", word.name)
    [digest] = [line.split()[-1] for line in Path(f"{word.name}.dvc").read_text().splitlines() if "md5: " in line]
    place = {"Bucket": os.environ["BUCKET"], "Key": f"files/md5/{digest[:2]}/{digest[2:]}"}
    need("push")
    try:
        forget(word)
        need("pull")
        if word.read_bytes() != content:
            return "what was pulled is not what was pushed"
        store.put_object(**place, Body=bytes([content[0] ^ 1]) + content[1:])
        forget(word)
        pulled = dvc("pull")
        if not pulled.returncode or word.exists():
            return "a damaged object was pulled as if it were whole"
    finally:
        store.delete_object(**place)
    return ""


def main() -> None:
    """Prove it in a repository of its own."""
    os.chdir(tempfile.mkdtemp())
    need("init", "--no-scm")
    if fault := prove(get_session().create_client("s3"), Path("word")):
        sys.exit(fault)
    print(f"{WORD_BYTES >> 10} KiB were pushed, pulled and compared; when damaged they were refused")


main()
