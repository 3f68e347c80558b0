"""bcrypt, by the C library that checks the system's own logins: Python 3.13 has no module crypt any more."""

from __future__ import annotations

import ctypes
import hmac

from ansible.module_utils.groundwork.errors import GroundworkError

ROUNDS = 10
"""2^10 rounds: some 50 ms a try. What is hashed here is random and long; more would only slow down who asks often."""
LIBRARY = "libcrypt.so.1"
REMEDY = "Install libcrypt1; every Debian and Ubuntu has it."


def digest(password: str) -> str:
    """The bcrypt hash of a password, with a salt of its own.

    Raises GroundworkError where the system cannot make one.
    """
    library = _library()
    salt = library.crypt_gensalt(b"$2b$", ctypes.c_ulong(ROUNDS), None, 0)
    made = library.crypt(password.encode(), salt) if salt else None
    if not made or not made.startswith(b"$2b$"):
        raise GroundworkError(f"{LIBRARY} knows no bcrypt", REMEDY)
    return str(made.decode())


def matches(password: str, hashed: str) -> bool:
    """Whether a hash is this password's."""
    made = _library().crypt(password.encode(), hashed.encode()) if hashed.startswith("$2") else None
    return made is not None and hmac.compare_digest(made, hashed.encode())


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise GroundworkError(f"{LIBRARY} is missing: {error}", REMEDY) from None
    library.crypt.restype = library.crypt_gensalt.restype = ctypes.c_char_p
    return library
