"""Hashes that other applications made of their users' passwords: which of them are taken over, and how they are checked.

Argon2 in the form that argon2-cffi writes, bcrypt (Flask-Bcrypt's too, without its pre-hashing), and Werkzeug's scrypt and
pbkdf2. The first sign-in replaces each of them by argon2id.
"""

import re

import bcrypt
from werkzeug.security import check_password_hash

# Costs are bounded because anybody who knows a name can make us pay them, until its owner has signed in: at most some two
# seconds of a core and 300 MB. The rest is strict so that every hash that is taken over can also be checked: base64 without
# loose bits, for instance. All of it is said by one pattern, which Python and ECMA-262 read alike.
_QUAD, _ONE_BYTE, _TWO_BYTES = "[A-Za-z0-9+/]{4}", "[A-Za-z0-9+/][AQgw]", "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]"
_ARGON2 = (
    r"\$argon2(?:id|i|d)\$v=19\$m=(?:[1-9][0-9]{2,4}|[12][0-9]{5}),t=[1-6],p=[1-9]"
    rf"\$(?:{_QUAD}){{3,16}}(?:{_ONE_BYTE}|{_TWO_BYTES})?"
    # 16, 32 or 64 bytes, not any number, so that a hash that a narrow column has cut off is noticed.
    rf"\$(?:(?:{_QUAD}){{5}}{_ONE_BYTE}|(?:{_QUAD}){{10}}{_TWO_BYTES}|(?:{_QUAD}){{21}}{_ONE_BYTE})"
)
_BCRYPT = r"\$2[aby]\$(?:0[4-9]|1[0-5])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
_SCRYPT = r"scrypt:(?:1024|2048|4096|8192|16384|32768|65536|131072):8:[1-4]\$[A-Za-z0-9]{1,64}\$[0-9a-f]{128}"
_ITERATIONS_AND_SALT = r"(?:[1-9][0-9]{2,5}|[12][0-9]{6})\$[A-Za-z0-9]{1,64}"
_PBKDF2 = "pbkdf2:(?:" + "|".join(
    rf"{digest}:{_ITERATIONS_AND_SALT}\$[0-9a-f]{{{size}}}" for digest, size in (("sha1", 40), ("sha256", 64), ("sha512", 128))
) + ")"  # fmt: skip
PATTERN = f"^(?:{_ARGON2}|{_BCRYPT}|{_SCRYPT}|{_PBKDF2})$"
MAX_LENGTH = 255
# What bcrypt reads of a password. Its libraries cut off the rest in silence, until the Python one began to refuse it in 2025.
BCRYPT_BYTES = 72

_matches = re.compile(PATTERN.removeprefix("^").removesuffix("$")).fullmatch


def is_supported(encoded: str) -> bool:
    """Say whether a hash can be taken over: of a known kind, undamaged, and not so costly that checking it blocks the service."""
    return _matches(encoded) is not None


def is_foreign(encoded: str) -> bool:
    """Say whether a stored hash is of another kind than those that the argon2 library checks."""
    return not encoded.startswith("$argon2")


def verify(password: str, encoded: str) -> bool:
    """Say whether the password has this hash, which is not argon2.

    As the old application did it: bcrypt looks at the first 72 bytes alone. A password with a NUL is never right, because to
    bcrypt and to HMAC `secret` and `secret\\0` can be the same, and one of the two would be locked out by the replacement.
    """
    if not is_supported(encoded):
        return False
    if encoded.startswith("$2"):
        right = bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], encoded.encode())
    else:
        right = check_password_hash(encoded, password)
    return right and "\0" not in password
