"""Our Flask answers as Flask does: the same small application, made with each of the two, side by side."""

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, after_this_request, request, session, url_for
from flask.ctx import RequestContext
from flask.signals import request_finished, request_started, request_tearing_down
from flask.views import MethodView

from api.application import FixedContext, Keycard

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/in/fixed", {}),
    ("HEAD", "/in/fixed", {}),
    ("OPTIONS", "/in/fixed", {}),
    ("POST", "/in/fixed", {}),
    ("DELETE", "/in/fixed", {}),
    ("GET", "//in/fixed", {}),
    ("GET", "/in/fixed/", {}),
    ("GET", "/in/fixed?x=1&y=%20", {}),
    ("GET", "/in/slash", {}),
    ("GET", "/in/slash/", {}),
    ("GET", "/in/of/7", {}),
    ("GET", "/in/of/x", {}),
    ("GET", "/in/none", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/in/links", {}),
    ("GET", "/in/links", {"headers": {"Host": "other.example:8080"}}),
    ("GET", "/in/fixed", {"headers": {"Host": "evil.example"}}),
    ("GET", "/in/fixed", {"headers": {"Host": "<>"}}),
    ("GET", "/in/fixed", {"headers": {"Host": ""}}),
    ("GET", "/in/fixed", {"headers": {"Host": "a..b"}}),
    ("GET", "/in/fixed", {"headers": {"Host": "a" * 64}}),
    ("GET", "/in/fixed", {"headers": {"Host": "[::1]:8000"}}),
    ("GET", "/in/fixed", {"headers": {"Host": "LocalHost:80"}}),
    ("GET", "/in/fixed", {"headers": {"Connection": "Upgrade", "Upgrade": "websocket"}}),
    ("GET", "/in/fixed", {"headers": {"Connection": "keep-alive, Upgrade", "Upgrade": "h2c"}}),
    ("GET", "/in/stream", {}),
    ("HEAD", "/in/stream", {}),
    ("GET", "/in/closing", {}),
    ("GET", "/in/redirect", {}),
    ("GET", "/in/status/204", {}),
    ("GET", "/in/status/304", {}),
    ("GET", "/in/status/201", {}),
    ("GET", "/in/crash", {}),
    ("GET", "/in/teapot", {}),
    ("GET", "/in/early", {}),
    ("GET", "/in/own", {}),
    ("GET", "/in/remember", {}),
    ("GET", "/in/text", {}),
    ("GET", "/in/caf%C3%A9", {}),
    ("GET", "/in/list", {}),
    ("GET", "/in/special", {}),
    ("GET", "/in/parts", {}),
    ("GET", "/in/lower", {}),
    ("GET", "/in/status/103", {}),
]
HOSTS = ["localhost", "other.example"]
# What FixedContext sets itself, in a way of its own.
LATER = {"url_adapter"}
# Functions that were made for one request.
MADE: list[weakref.ref[Any]] = []


def application(kind: type[Flask], calls: list[str], hosts: list[str] | None = None) -> Flask:
    """An application with hooks of every kind, each of which tells that it was called."""
    app = kind("somebody", root_path=".")
    app.config.update(SECRET_KEY="k" * 32, TRUSTED_HOSTS=hosts)
    outer, inner = Blueprint("outer", __name__, url_prefix="/in"), Blueprint("inner", __name__)
    for name, scaffold in (("app", app), ("outer", outer), ("inner", inner)):
        _hook(scaffold, name, calls)
    _views(inner)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def _hook(scaffold: Any, name: str, calls: list[str]) -> None:
    def tell(what: str, value: Any = None) -> Any:
        calls.append(f"{name}: {what} {request.endpoint} {request.blueprints} {request.view_args}")
        return value

    scaffold.before_request(lambda: tell("before", "early" if name == "outer" and request.path.endswith("early") else None))
    scaffold.after_request(lambda response: tell("after", response))
    scaffold.teardown_request(lambda error: tell(f"teardown {error!r}"))
    scaffold.errorhandler(418)(lambda error: tell("handles", (f"{name} says {error.code}", 418)))


def _views(inner: Blueprint) -> None:
    class Fixed(MethodView):
        def get(self) -> Any:
            return {"args": request.args, "rule": str(request.url_rule), "url": request.url, "host": request.host}

        def post(self) -> Any:
            return "made", 201, {"Location": "/in/fixed"}

    inner.add_url_rule("/fixed", view_func=Fixed.as_view("fixed"))
    inner.add_url_rule("/slash/", "slash", lambda: "slash")
    inner.add_url_rule("/of/<int:number>", "of", lambda **values: str(values["number"]))
    inner.add_url_rule("/none", "none", lambda: flask.Response(status=200))
    inner.add_url_rule("/links", "links", lambda: f"{url_for('.of', number=7)} {url_for('.fixed', _external=True)}")
    inner.add_url_rule("/stream", "stream", lambda: iter(["a", "b"]))
    inner.add_url_rule("/closing", "closing", _closing)
    inner.add_url_rule("/redirect", "redirect", lambda: flask.redirect("/in/f\u00fcr"))
    inner.add_url_rule(
        "/status/<int:code>", "status", lambda code: ("text", code, {"Content-Location": "/\u00fc", "ETag": '"1"'})
    )
    inner.add_url_rule("/crash", "crash", lambda: 1 / 0)
    inner.add_url_rule("/teapot", "teapot", lambda: flask.abort(418))
    inner.add_url_rule("/early", "early", lambda: "late")
    inner.add_url_rule("/own", "own", _own)
    inner.add_url_rule("/remember", "remember", lambda: session.update(seen=True) or "kept")
    inner.add_url_rule("/text", "text", lambda: "\u00e9\udce9".encode("utf-8", "replace"))
    inner.add_url_rule("/caf\u00e9", "coffee", lambda: "coffee")
    inner.add_url_rule("/special", "special", lambda: _Special("special"))
    inner.add_url_rule("/parts", "parts", lambda: flask.Response(["a", "\u00e9"], headers={"content-length": "3"}))
    inner.add_url_rule("/lower", "lower", lambda: flask.Response("x", headers={"location": "/\u00fc"}))
    inner.add_url_rule("/list", "list", lambda: [1, {"a": "\u00e9"}])


class _Special(flask.Response):
    """A response of a kind that is somebody's own."""

    def get_wsgi_headers(self, environ: Any) -> Any:
        headers = super().get_wsgi_headers(environ)
        headers["X-Special"] = "1"
        return headers


def _closing() -> flask.Response:
    response = flask.make_response("closing")
    response.call_on_close(lambda: None)
    return response


def _own() -> str:
    @after_this_request
    def add(response: flask.Response) -> flask.Response:
        response.headers["X-Own"] = "1"
        return response

    MADE.append(weakref.ref(add))
    return "own"


@pytest.fixture
def signals() -> Iterator[list[str]]:
    """The signals that any application sends."""
    seen: list[str] = []
    kinds = {"started": request_started, "finished": request_finished, "tearing down": request_tearing_down}
    receivers = {name: lambda _, name=name, **__: seen.append(name) for name in kinds}
    for name, signal in kinds.items():
        signal.connect(receivers[name])
    yield seen
    for name, signal in kinds.items():
        signal.disconnect(receivers[name])


@pytest.mark.parametrize("hosts", [None, HOSTS], ids=["any host", "trusted hosts"])
@pytest.mark.parametrize(("method", "path", "how"), REQUESTS)
def test_it_answers_as_flask_does(
    method: str, path: str, how: dict[str, Any], hosts: list[str] | None, signals: list[str]
) -> None:
    """Status, headers, body, every hook, every signal, and all in the same order; the second time, too."""
    seen = []
    for kind in (Flask, Keycard):
        calls: list[str] = []
        client = application(kind, calls, hosts).test_client()
        for _ in range(2):
            answer = client.open(path, method=method, **how)
            calls += [answer.status, *(f"{name}: {_body_free(value)}" for name, value in sorted(answer.headers)), *signals]
            calls.append(json.dumps(answer.json, sort_keys=True) if answer.is_json and method != "HEAD" else answer.text)
            signals.clear()
        seen.append(calls)
    flasks, ours = seen
    assert ours == flasks


def _body_free(value: str) -> str:
    """JSON is written shorter here, and a session's cookie is signed anew."""
    return "some" if value.isdigit() or value.startswith("session=") else value


@pytest.fixture
def busy() -> Flask:
    """An application that has answered its first request, so that nothing can be added any more."""
    app = application(Keycard, [])
    assert app.test_client().get("/in/fixed").status_code == 200
    return app


def test_the_quick_way_is_taken(busy: Flask) -> None:
    """Or the comparison would compare Flask with Flask."""
    with busy.test_request_context("/in/fixed") as context:
        assert isinstance(context, FixedContext)
    with busy.test_request_context("/in/of/7") as context:
        assert not isinstance(context, FixedContext)


def test_a_context_has_everything_that_flasks_has(busy: Flask) -> None:
    """What a later Flask adds must be added here."""
    ours = busy.test_request_context("/in/fixed")
    assert isinstance(ours, FixedContext)
    assert {*vars(ours)} | LATER == {*vars(RequestContext(busy, ours.request.environ))}


def test_a_request_can_be_taken_along(busy: Flask) -> None:
    with busy.test_request_context("/in/fixed?x=1"):
        taken = flask.copy_current_request_context(lambda: request.args["x"])
    assert taken() == "1"


def test_a_hook_that_is_added_before_the_first_request_counts() -> None:
    """Even if somebody has looked at a request before, on the shell or while the application was made."""
    app = application(Keycard, [])
    with app.test_request_context("/in/fixed"):
        pass
    app.before_request(lambda: ("denied", 403))
    assert app.test_client().get("/in/fixed").status_code == 403


def test_of_two_rules_for_a_path_flask_knows_the_first() -> None:
    def answer(kind: type[Flask]) -> list[str]:
        app = kind("somebody", root_path=".")
        views = {"a": lambda: "a", "b": lambda: "b", "c": lambda: "c"}
        for path, endpoint in (("/other", "b"), ("/y", "a"), ("/y", "b"), ("/built", "c")):
            app.add_url_rule(path, endpoint, views[endpoint], build_only=path == "/built")
        client = app.test_client()
        return [client.get(path).text for path in ("/other", "/y", "/built", "/y", "/built")]

    assert answer(Keycard) == answer(Flask)


def test_a_hook_that_asks_for_the_matched_values_is_called() -> None:
    app = application(Keycard, [])
    app.url_value_preprocessor(lambda endpoint, values: values.update(number=9) if endpoint == "outer.inner.of" else None)
    assert app.test_client().get("/in/of/7").text == "9"


def test_what_was_made_for_one_request_is_forgotten(busy: Flask) -> None:
    """A function that sets a cookie holds its token."""
    MADE.clear()
    assert busy.test_client().get("/in/own").headers["X-Own"] == "1"
    gc.collect()
    assert [each() for each in MADE] == [None]
