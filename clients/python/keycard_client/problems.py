"""Error answers as exceptions (RFC 9457)."""

from collections.abc import Mapping
from typing import Any

import httpx


class Problem(Exception):
    """The server answered with an error.

    slug: the kind, one of `keycard_client.slugs` or one that is newer than this SDK; empty when the answer was no problem at all,
    such as the page of a proxy. errors: faults of the input, each with `detail` and a `pointer`, a `parameter` or a `header`.
    retry_after: seconds to wait, where the server said. body: everything the server said.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.body = _members(response)
        self.status = response.status_code
        self.type = str(self.body.get("type", "about:blank"))
        self.slug = self.type.rpartition("/problems/")[2] if "/problems/" in self.type else ""
        self.title = str(self.body.get("title", response.reason_phrase))
        self.detail = str(self.body.get("detail", ""))
        self.request_id = str(self.body.get("request_id", ""))
        errors = self.body.get("errors")
        self.errors: list[dict[str, Any]] = errors if isinstance(errors, list) else []
        self.retry_after = retry_after(response)
        super().__init__(f"{self.status} {self.slug or 'without a problem'}: {self.detail or self.title}")


def _members(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def retry_after(response: httpx.Response) -> int | None:
    """The seconds of Retry-After (RFC 9110, section 10.2.3); Keycard never sends a date."""
    sent = response.headers.get("Retry-After", "")
    return int(sent) if sent.isascii() and sent.isdigit() else None
