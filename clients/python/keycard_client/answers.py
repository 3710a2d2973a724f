"""From answers to what they carry."""

import weakref
from typing import Any, TypeVar

import httpx

from .generated.types import Response

T = TypeVar("T")

_headers: dict[int, httpx.Headers] = {}


def given(answer: Response[T]) -> T:
    """The model in a good answer; bad ones were raised before."""
    if answer.parsed is None:
        raise TypeError(f"an answer of {answer.status_code} without a body that could be read")
    _headers[id(answer.parsed)] = httpx.Headers(answer.headers)
    weakref.finalize(answer.parsed, _headers.pop, id(answer.parsed), None)
    return answer.parsed


def headers_of(model: Any) -> httpx.Headers:
    """The headers of the answer that a model came in: `headers_of(user)["ETag"]`."""
    try:
        return _headers[id(model)]
    except KeyError:
        raise TypeError("not an answer of this client") from None
