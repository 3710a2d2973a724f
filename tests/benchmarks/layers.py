"""What each layer of get_me costs: CPU microseconds in one process, without a server, by calling the WSGI apps themselves.

python -m tests.benchmarks.layers ROUNDS prints them as JSON; the settings are Keycard's environment variables.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.views import MethodView
from flask_jwt_extended import decode_token
from flask_migrate import upgrade
from flask_smorest import Api, Blueprint

from api import create_app, keys
from api.clock import now
from api.sessions.principal import find_live
from api.users.schemas import UserSchema

from .baselines.bare_flask import app as bare
from .servers import forged
from .targets import PASSWORD

CALLS = 1000
ME = "/v1/users/me"


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Median and least cost of each layer, the rounds interleaved."""
    layers = _layers()
    costs: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(rounds + 1):
        for name, call in layers.items():
            cost = _cost(call)
            if number:
                costs[name].append(cost)
    return {name: {"median": round(statistics.median(found), 1), "least": round(min(found), 1)} for name, found in costs.items()}


def _cost(call: Callable[[], Any]) -> float:
    before = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - before) / CALLS * 1e6


def _layers() -> dict[str, Callable[[], Any]]:
    keycard = create_app()
    with keycard.app_context():
        upgrade()
        keys.ensure_current()
    token = _sign_in(keycard)
    context = keycard.test_request_context()
    context.push()  # for the two layers that are no requests
    claims = decode_token(token)
    dumping = _smorest()
    calls = {
        "bare Flask view": _caller(bare, "/me", 200),
        "the same with smorest, dumping a person": _caller(dumping, "/me", 200),
        "Keycard, a public operation (live)": _caller(keycard, "/health/live", 200),
        "decoding the token": lambda: decode_token(token),
        "the statement: person, session, revocation": lambda: find_live(claims),
        "get_me without a token": _caller(keycard, ME, 401),
        "get_me with a bad token": _caller(keycard, ME, 401, forged(token)),
        "get_me": _caller(keycard, ME, 200, token),
    }
    for call in calls.values():
        call()
    return calls


def _smorest() -> Flask:
    app = Flask("dumping")
    app.config.update(API_TITLE="Dumping", API_VERSION="1", OPENAPI_VERSION="3.1.0")
    blueprint = Blueprint("dumping", __name__)
    moment = now()
    person = {"id": "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01", "username": "ada", "display_name": None, "email": None,
              "email_verified": False, "roles": ["user"], "status": "active", "created_at": moment,
              "updated_at": moment}  # fmt: skip

    @blueprint.route("/me")
    class Me(MethodView):
        @blueprint.response(200, UserSchema)
        def get(self) -> dict[str, Any]:
            return person

    Api(app).register_blueprint(blueprint)
    return app


def _sign_in(app: Flask) -> str:
    client = app.test_client()
    body = {"username": f"layer{time.time_ns()}", "password": PASSWORD}
    client.post("/v1/auth/register", json=body)
    return str(client.post("/v1/auth/login", json=body).json["access_token"])  # type: ignore[index]


def _caller(app: Flask, path: str, status: int, token: str | None = None) -> Callable[[], None]:
    """One request on a prepared environ; raises when it is answered otherwise."""
    prepared = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True,
        "wsgi.multiprocess": False, "wsgi.run_once": False, **({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}),
    }  # fmt: skip
    seen: list[str] = []

    def begin(line: str, *_: Any) -> Callable[[bytes], None]:
        seen[:] = [line]
        return lambda _: None

    def call() -> None:
        answer = app.wsgi_app({**prepared, "wsgi.input": io.BytesIO()}, begin)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        if int(seen[0][:3]) != status:
            raise RuntimeError(f"{path}: {seen[0]}")

    return call


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))  # noqa: T201 - read by the command
