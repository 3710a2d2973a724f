"""What a line of the log says, and for whom it is written."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from marshmallow import fields

from api.config import Settings
from api.http import Blueprint, Schema, public
from api.observability import logs
from api.openapi import to_json
from tests.actors import Bearer

CRASH = "unexpected-words"


class Nothing(Schema):
    """Nothing."""

    nothing = fields.String(required=True, metadata={"description": "Nothing.", "example": "nothing"})


def crashing() -> Blueprint:
    """A blueprint with one operation, which crashes."""
    blp = Blueprint("crash", __name__, description="Crashes.")

    @blp.route("/crash")
    @blp.operation("crash", public)
    @blp.response(200, Nothing, description="Never.")
    def crash() -> None:
        """Crash"""
        logging.getLogger("shop").warning("it is about to happen")
        if request.args:
            to_json({CRASH: object()})
        raise LookupError(CRASH)

    return blp


@pytest.fixture(scope="module")
def make(new_app: Callable[..., Flask]) -> Callable[..., Flask]:
    def made(**settings: Any) -> Flask:
        app = new_app(blueprints=[crashing()], **settings)
        app.config["PROPAGATE_CRASHES"] = False
        app.test_client_class = FlaskClient
        return app

    return made


@pytest.fixture(scope="module")
def production(make: Callable[..., Flask]) -> Flask:
    return make(env="production", trusted_hops=1)


@pytest.fixture(autouse=True)
def as_configured(request: pytest.FixtureRequest) -> None:
    """The app made last has the say over the log of the process; make it this one."""
    if "production" in request.fixturenames:
        logs.configure(request.getfixturevalue("production").config["SETTINGS"])


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_request_is_one_line(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    ada = Bearer(production).join()
    me = ada.get("/v1/users/me", headers={"X-Request-ID": "mine-1", "X-Forwarded-For": "198.51.100.7"}).json
    sid = ada.get("/v1/auth/session").json["session"]["id"]
    (line,) = [line for line in lines(capfd) if line["request_id"] == "mine-1"]
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request", "level": "info", "request_id": "mine-1", "method": "GET", "route": "/v1/users/me",
        "operation": "get_me", "status": 200, "user_id": me["id"], "session_id": sid, "address": "198.51.100.7",
    }  # fmt: skip


def test_whoever_signs_in_or_refreshes_is_named(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    ada = Bearer(production).join()
    ada.refresh()
    ada.logout()
    told = {line["operation"]: line for line in lines(capfd) if line["event"] == "request"}
    sessions = {told[name]["session_id"] for name in ("login", "refresh", "logout")}
    assert len(sessions) == 1
    assert None not in sessions
    assert told["register"]["user_id"] is None


def test_a_refusal_names_its_problem(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    nobody = Bearer(production)
    answers = [nobody.get("/v1/users/me"), nobody.get("/nowhere/5"), nobody.request("PUT", "/v1/users/me"), nobody.refresh()]
    told = lines(capfd)
    assert [(line["status"], line["problem"], line["route"]) for line in told] == [
        (401, "authentication-required", "/v1/users/me"),
        (404, "not-found", None),
        (405, "method-not-allowed", None),
        (401, "authentication-required", "/v1/auth/refresh"),
    ]
    assert [line["request_id"] for line in told] == [answer.json["request_id"] for answer in answers]
    assert [line["request_id"] for line in told] == [answer.headers["X-Request-ID"] for answer in answers]


def test_what_a_client_chooses_is_not_repeated(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    """A method, an address and an id that are none."""
    headers = {"X-Forwarded-For": "chosen-address", "X-Request-ID": "chosen id"}
    Bearer(production).request("CHOSEN", "/v1/users/me", headers=headers)
    (line,) = lines(capfd)
    assert (line["method"], line["address"]) == ("other", None)
    assert "chosen" not in str(line).lower()


def test_a_crash_is_told_without_its_message(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    """And what was logged before it bears the same request id, also from code that is not ours."""
    answer = Bearer(production).get("/crash")
    before, crash, request = lines(capfd)
    assert {line["request_id"] for line in (before, crash, request)} == {answer.json["request_id"]}
    assert (before["event"], before["logger"]) == ("it is about to happen", "shop")
    assert (crash["event"], crash["level"], crash["exception"]) == ("unhandled error", "error", "LookupError")
    assert crash["frames"][-1].startswith("tests/observability/test_logs.py:")
    assert (request["level"], request["status"], request["problem"]) == ("error", 500, "internal-error")
    assert CRASH not in str((before, crash, request)) + answer.text


def test_a_crash_names_the_places_of_our_code_and_no_others(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    """Wherever Keycard is installed, and the operator's too. Of the libraries it names the place where it happened."""
    Bearer(production).get("/crash?in=library")
    crash = next(line for line in lines(capfd) if line["event"] == "unhandled error")
    assert [place.split(":")[0] for place in crash["frames"]] == [
        "tests/observability/test_logs.py",
        "api/openapi/document.py",
        "json/encoder.py",
    ]


def test_the_kinds_of_a_chain_are_told(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            int(CRASH)
        except ValueError as error:
            raise KeyError(CRASH) from error
    except KeyError:
        logging.getLogger("shop").exception("caught")
    (line,) = lines(capfd)
    assert line["exception"] == "KeyError from ValueError"
    assert CRASH not in str(line)


def test_a_line_that_cannot_be_formatted_does_not_show_its_arguments(capfd: pytest.CaptureFixture[str]) -> None:
    logs.LineHandler().handle(logging.LogRecord("shop", logging.WARNING, __file__, 1, "%d", (CRASH,), None))
    told = capfd.readouterr().err
    assert told == "a line of shop could not be written (test_logs.py:1)\n"


def test_what_json_cannot_say_is_said_otherwise(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    # Past the loggers: pytest keeps what they hear, and cannot hand it from process to process.
    (handler,) = [each for each in logging.getLogger().handlers if isinstance(each, logs.LineHandler)]
    handler.handle(logging.LogRecord("shop", logging.WARNING, __file__, 1, "a lone surrogate: %s", ("\ud800",), None))
    (line,) = lines(capfd)
    assert line["event"].startswith("a lone surrogate")


def test_libraries_are_heard_from_warning_on(make: Callable[..., Flask], capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever the level: below that SQLAlchemy tells parameters."""
    make(env="production", log_level="debug")
    logging.getLogger("sqlalchemy.engine").info("parameters")
    logging.getLogger("sqlalchemy.engine").debug("rows")
    logging.getLogger("keycard").debug("ours")
    logging.getLogger("sqlalchemy.pool").warning("trouble")
    assert [line["event"] for line in lines(capfd) if line["event"] != "request"] == ["ours", "trouble"]


def test_the_server_of_development_does_not_repeat_requests(production: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines have the address as it came, query and all."""
    logging.getLogger("werkzeug").setLevel(logging.INFO)  # as it does itself
    logging.getLogger("werkzeug").info('127.0.0.1 - - [23/Nov/2026 02:16:27] "%s" %s %s', "GET /docs?token=x", 200, "-")
    logging.getLogger("werkzeug").info(" * Running on http://127.0.0.1:8000")
    assert [line["event"] for line in lines(capfd)] == [" * Running on http://127.0.0.1:8000"]


def test_good_health_is_told_at_debug_only(make: Callable[..., Flask], capfd: pytest.CaptureFixture[str]) -> None:
    for level, told in (("info", []), ("debug", ["live", "ready"])):
        nobody = Bearer(make(env="production", log_level=level))
        capfd.readouterr()
        assert [nobody.get(f"/health/{name}").status_code for name in ("live", "ready")] == [200, 200]
        assert [line["operation"] for line in lines(capfd) if line["event"] == "request"] == told


def test_at_warning_only_failures_are_told(make: Callable[..., Flask], capfd: pytest.CaptureFixture[str]) -> None:
    nobody = Bearer(make(env="production", log_level="warning"))
    capfd.readouterr()
    nobody.get("/v1/config")
    nobody.get("/crash")
    assert [line["event"] for line in lines(capfd)] == ["it is about to happen", "unhandled error", "request"]


def test_in_development_lines_are_for_people(make: Callable[..., Flask], capfd: pytest.CaptureFixture[str]) -> None:
    """And an error is shown whole."""
    app = make()
    capfd.readouterr()
    Bearer(app).get("/crash", headers={"X-Request-ID": "mine-2"})
    told = capfd.readouterr().err
    assert f"LookupError: {CRASH}" in told
    assert "operation=crash" in told
    assert "request_id=mine-2" in told
    assert not told.startswith("{")


@pytest.mark.parametrize(
    ("env", "log_format", "expected"),
    [("production", None, True), ("development", None, False), ("production", "console", False), ("development", "json", True)],
)
def test_the_format_follows_the_environment_unless_chosen(env: str, log_format: str | None, *, expected: bool) -> None:
    assert logs.is_json(Settings(env=env, log_format=log_format)) is expected


def test_a_log_that_nobody_reads_stops_nothing(production: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "STANDARD_ERROR", 9999)
    assert Bearer(production).get("/v1/config").status_code == 200
