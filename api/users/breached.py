"""Asking whether a password has leaked, without telling it: by k-anonymity, as Have I Been Pwned's range API does it.

Only the first five hexadecimal digits of the SHA-1 leave this machine; the answer lists every leaked password that begins so.
"""

import hashlib
import logging
import urllib.request
from http.client import HTTPException
from typing import Any

from ..config import settings

logger = logging.getLogger("keycard")
TIMEOUT_SECONDS = 1.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: only the service that the operator named is asked. A redirect is an error like any other."""

    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


_opener = urllib.request.build_opener(_Stay)


def has_leaked(password: str) -> bool:
    """Say whether the configured service knows the password. When it cannot be asked the answer is no, and that is logged."""
    url = settings().breached_passwords_url
    if url is None:
        return False
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    try:
        listed = _ask(url + digest[:5])
    except (OSError, HTTPException, ValueError) as error:
        logger.warning("breached passwords cannot be asked for: %s", type(error).__name__)
        return False
    # With padding the service adds lines that nobody's password has, counted 0.
    counts = dict(line.partition(":")[::2] for line in listed.splitlines())
    return int(counts.get(digest[5:], "0") or 0) > 0


def _ask(url: str) -> str:
    asked = urllib.request.Request(url, headers={"Add-Padding": "true", "User-Agent": "keycard"})  # noqa: S310 - the operator's URL
    with _opener.open(asked, timeout=TIMEOUT_SECONDS) as answer:
        return str(answer.read(1_000_000).decode("ascii"))
