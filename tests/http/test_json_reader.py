"""The one reader of bodies: what is not strict JSON is refused before anybody looks at it."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from api.http.body import MAX_DEPTH, strict_json
from tests.actors import Bearer
from tests.http.test_errors import everything, is_problem, operations

GOOD = '{"username":"ada","password":"Correct-Horse-7"}'


def nested(depth: int, inside: str = "") -> str:
    return "[" * depth + inside + "]" * depth


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "a space": b" ",
    "a word": b"hello",
    "cut": GOOD[:-1].encode(),
    "cut in a string": GOOD[:-3].encode(),
    "cut in a character": '{"a":"é'.encode()[:-1],
    "two values": (GOOD + GOOD).encode(),
    "something behind": (GOOD + "x").encode(),
    "a zero byte behind": GOOD.encode() + b"\x00",
    "a comma too many": b'{"a":1,}',
    "a comment": b'{"a":1} // x',
    "single quotes": b"{'a':1}",
    "no quotes": b"{a:1}",
    "form": b"username=ada&password=x",
    "a name twice": b'{"username":"ada","username":"eve","password":"x"}',
    "a name twice, once escaped": b'{"username":"ada","\\u0075sername":"eve","password":"x"}',
    "a name twice, deep": b'{"a":[{"b":1,"b":1}]}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "1e400": b'{"a":1e400}',
    "-1e400": b'{"a":-1e400}',
    "a number of 5000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "a fraction of 5000 digits before the dot": b'{"a":' + b"9" * 5000 + b".0}",
    "a leading zero": b'{"a":01}',
    "a plus": b'{"a":+1}',
    "hexadecimal": b'{"a":0x10}',
    "a high surrogate": b'{"username":"\\ud800","password":"x"}',
    "a low surrogate": b'{"username":"\\udc00","password":"x"}',
    "surrogates reversed": b'{"username":"\\ude00\\ud83d","password":"x"}',
    "a surrogate in a name": b'{"\\ud800":1}',
    "a surrogate deep": b'{"a":[[{"b":"\\udfff"}]]}',
    "a surrogate as UTF-8": b'{"username":"\xed\xa0\x80","password":"x"}',
    "overlong UTF-8": b'{"username":"\xc0\xaf","password":"x"}',
    "beyond Unicode": b'{"username":"\xf4\x90\x80\x80","password":"x"}',
    "Latin-1": '{"username":"é","password":"x"}'.encode("latin-1"),
    "a raw control character": b'{"username":"a\x01b","password":"x"}',
    "a raw line break": b'{"username":"a\nb","password":"x"}',
    "a raw zero byte": b'{"username":"a\x00b","password":"x"}',
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 little endian": GOOD.encode("utf-16-le"),
    "UTF-16 big endian": GOOD.encode("utf-16-be"),
    "UTF-32": GOOD.encode("utf-32"),
    "33 lists": nested(33).encode(),
    "33 lists around a number": nested(33, "1").encode(),
    "33 objects": (b'{"a":' * 33) + b"1" + b"}" * 33,
    "10,000 deep": nested(10_000).encode(),
    "30,000 deep": nested(30_000).encode(),
    "30,000 deep and never closed": b"[" * 30_000,
    "10,000 objects deep": (b'{"":' * 10_000) + b"1" + b"}" * 10_000,
}
ACCEPTED: dict[str, Any] = {
    GOOD: {"username": "ada", "password": "Correct-Horse-7"},
    ' {"a" : 1 }\r\n\t': {"a": 1},
    '{"\\ud83d\\ude00":"\\ud83d\\ude00"}': {"😀": "😀"},
    '{"a":"\\u0000"}': {"a": "\x00"},
    '{"a":1e308,"b":-0,"c":1E-400}': {"a": 1e308, "b": 0, "c": 0.0},
    '{"a":{"x":1},"b":{"x":1}}': {"a": {"x": 1}, "b": {"x": 1}},
    "9" * 4300: int("9" * 4300),
    nested(MAX_DEPTH, "1"): json.loads(nested(MAX_DEPTH, "1")),
    nested(MAX_DEPTH): json.loads(nested(MAX_DEPTH)),
}
LABELS = (
    None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
    "application/jsonp", "application/problem+json", "application/vnd.api+json", "application/json-seq", "json", "*/*",
    "application/*", "application/xml", "application/json, text/plain", "\u00fc",
)  # fmt: skip


@pytest.fixture(scope="module")
def admin(app: Flask) -> Bearer:
    """Nothing here ends a session, so one administrator is enough."""
    return Bearer(app).join(roles=["user", "admin"])


@pytest.fixture(autouse=True)
def nothing_changes(app: Flask, admin: Bearer) -> Iterator[None]:
    """Whatever the test does, the database is afterwards what it was before."""
    before = everything(app)
    yield
    assert everything(app) == before


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_strict_json_is_a_400_everywhere(app: Flask, admin: Bearer, raw: bytes) -> None:
    """On every operation that reads a body, for somebody who may call it."""
    tried = [each for each in operations(app) if each.body]
    for operation in tried:
        answer = admin.signed_in(
            operation.method, operation.filled(), data=raw, content_type="application/json", headers=operation.headers
        )
        assert is_problem(answer, 400, "malformed-request"), operation.name
    assert len(tried) >= 6


@pytest.mark.parametrize(("text", "value"), ACCEPTED.items(), ids=range(len(ACCEPTED)))
def test_what_is_strict_json_is_read(text: str, value: Any) -> None:
    """The limits themselves are still inside: 32 levels, 4300 digits, the largest double."""
    assert strict_json(text.encode()) == value


@pytest.mark.parametrize("label", LABELS)
def test_a_body_that_is_not_labelled_as_json_is_a_415_everywhere(app: Flask, admin: Bearer, label: str | None) -> None:
    """A form of another site can send text/plain without asking: what says that it is no JSON is not read as JSON."""
    for operation in operations(app):
        if operation.body:
            body = json.dumps(operation.example)
            answer = admin.signed_in(
                operation.method, operation.filled(), data=body, content_type=label, headers=operation.headers
            )
            assert is_problem(answer, 415, "unsupported-media-type"), operation.name


@pytest.mark.parametrize(
    "label", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;x=y"]
)
def test_the_label_json_is_read_with_parameters_and_in_capitals(admin: Bearer, label: str) -> None:
    answer = admin.patch("/v1/users/me", data='{"display_name":""}', content_type=label)
    assert is_problem(answer, 422, "validation-failed")


def test_a_charset_in_the_label_changes_nothing(admin: Bearer) -> None:
    """JSON is UTF-8 (RFC 8259, section 8.1), whatever the label says."""
    raw = json.dumps({"display_name": "Ada"}).encode("utf-16")
    answer = admin.patch("/v1/users/me", data=raw, content_type="application/json; charset=utf-16")
    assert is_problem(answer, 400, "malformed-request")


@pytest.mark.parametrize("size", [65_537, 2**20, 5 * 2**20])
def test_a_body_that_is_too_large_is_a_413_everywhere(app: Flask, admin: Bearer, size: int) -> None:
    for operation in operations(app):
        if operation.body:
            raw = b'{"a":"' + b"x" * (size - 8) + b'"}'
            answer = admin.signed_in(
                operation.method, operation.filled(), data=raw, content_type="application/json", headers=operation.headers
            )
            assert is_problem(answer, 413, "payload-too-large"), operation.name


def test_a_body_of_the_largest_size_is_read(admin: Bearer) -> None:
    raw = b'{"display_name":""' + b" " * (65_536 - 19) + b"}"
    assert len(raw) == 65_536
    assert is_problem(admin.patch("/v1/users/me", data=raw, content_type="application/json"), 422, "validation-failed")


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 100_000, 500_000])
def test_a_body_in_chunks_has_the_same_limit(admin: Bearer, size: int) -> None:
    """Its beginning is valid JSON, and must not be taken for all of it."""
    raw = b'{"display_name":""}'.ljust(size)
    server = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": "application/json"}
    answer = admin.patch("/v1/users/me", input_stream=io.BytesIO(raw), environ_overrides=server)
    assert answer.status_code == (422 if size <= 65_536 else 413)


def test_a_body_that_nobody_asked_for_is_not_read(admin: Bearer) -> None:
    """An operation without a body does its work whatever is sent along."""
    for raw in (b"{", b"\xff", b'{"authenticated":false}'):
        assert admin.get("/v1/auth/session", data=raw, content_type="application/json").json["authenticated"] is True


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999", " 5", ""])
def test_a_length_that_is_none_is_a_clear_refusal(admin: Bearer, length: str) -> None:
    answer = admin.patch(
        "/v1/users/me", data=b"{}", content_type="application/json", environ_overrides={"CONTENT_LENGTH": length}
    )
    assert 400 <= answer.status_code < 500
    assert answer.mimetype == "application/problem+json"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
