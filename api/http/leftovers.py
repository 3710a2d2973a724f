"""What an answer leaves unread of its request's body.

Many refusals (401, 404, 415, 429) are made before the body is read. The body then stands between this request and the next one on
the connection. The server closes such a connection and does not always say so. A proxy that has kept it gives it to somebody
else, whose request fails with 502. So a small rest is read away, and a large one is answered with `Connection: close`.
Source: RFC 9112, section 9.3.
"""

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import LimitedStream, get_content_length

# A rest of so many times the largest accepted body is small: by default the 256 KiB that deploy/nginx.conf lets through.
SMALL = 4


class Leftovers:
    """A WSGI application around another one. max_body_bytes: of the largest body that the inner one accepts."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], max_body_bytes: int) -> None:
        self._inner, self._most = inner, SMALL * max_body_bytes

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = get_content_length(environ)
        chunked = length is None and "HTTP_TRANSFER_ENCODING" in environ and "wsgi.input_terminated" in environ
        if not length and not chunked:
            return self._inner(environ, start_response)
        body = LimitedStream(environ["wsgi.input"], length or self._most, is_max=chunked)
        environ |= {"wsgi.input": body, "wsgi.input_terminated": True}

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            awaited = body.tell() == 0 and "HTTP_EXPECT" in environ  # the client sends it only if somebody begins to read
            if awaited or body.limit - body.tell() > self._most or not _read_away(body, chunked=chunked):
                headers = [*headers, ("Connection", "close")]
            return start_response(status, headers, *more)

        return self._inner(environ, start)


def _read_away(body: LimitedStream, *, chunked: bool) -> bool:
    """Read the rest up to the limit; say whether that was all. A body in chunks that reaches the limit goes on behind it."""
    try:
        body.exhaust()
    except ClientDisconnected:
        return False
    return body.is_exhausted is not chunked
