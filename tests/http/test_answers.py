"""What a method returns is what is answered: a body where there is one, and none where there is none."""

from typing import Any

import flask
import pytest
from flask import Flask
from flask.views import MethodView
from marshmallow import fields

from api.http import Blueprint, Schema, public
from tests.actors import Bearer

ours = Blueprint("ours", __name__, description="Ours.")


class Job(Schema):
    """Work that goes on."""

    number = fields.Integer(required=True, metadata={"description": "Its number.", "example": 7})


@ours.route("/job")
class WithSchema(MethodView):
    @ours.operation("start_job", public)
    @ours.response(202, Job, description="It goes on.")
    def post(self) -> dict[str, int]:
        """Start a job"""
        return {"number": 7}


@ours.route("/nothing")
class WithoutSchema(MethodView):
    @ours.response(202, description="It goes on.")
    @ours.operation("start_nothing", public)
    def post(self) -> None:
        """Start something"""

    @ours.operation("stop_nothing", public)
    @ours.response(200, description="It has ended.")
    def delete(self) -> Any:
        """Stop something"""
        return None, {"X-Told": "yes"}


@ours.route("/own")
class OwnResponse(MethodView):
    @ours.operation("start_own", public)
    @ours.response(202, description="It goes on.")
    def post(self) -> flask.Response:
        """Start one's own"""
        return flask.Response("going on", 202, content_type="text/plain")


@pytest.fixture(scope="module")
def working(new_app) -> Flask:
    app: Flask = new_app(blueprints=[ours])
    app.test_client_class = flask.testing.FlaskClient  # the document says nothing of a text
    app.add_url_rule("/plain", "plain", lambda: ({"number": 7}, 202), methods=["POST"])
    return app


@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        ("/job", "application/json", b'{"number":7}'),
        ("/plain", "application/json", b'{"number":7}'),
        ("/own", "text/plain", b"going on"),
    ],
)
def test_a_202_with_a_body_keeps_it(working: Flask, path: str, media_type: str, body: bytes) -> None:
    answer = Bearer(working).post(path)
    assert (answer.status_code, answer.mimetype, answer.data) == (202, media_type, body)


@pytest.mark.parametrize(("method", "status"), [("POST", 202), ("DELETE", 200)])
def test_what_returns_nothing_answers_nothing(working: Flask, method: str, status: int) -> None:
    """Not `null`, of which the document does not speak."""
    answer = Bearer(working).request(method, "/nothing")
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (status, b"", False)
    assert answer.headers["Content-Length"] == "0"
    assert ("X-Told" in answer.headers) is (method == "DELETE")
