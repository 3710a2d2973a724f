"""The recorder itself: an answer that the document does not know fails the test that sees it."""

from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.views import MethodView
from marshmallow import fields

from api.http import Blueprint, Schema, public
from tests.actors import Bearer
from tests.contract.recorder import UndocumentedAnswerError

ETAG = {"ETag": {"$ref": "#/components/headers/ETag"}}


class Thing(Schema):
    """A thing."""

    name = fields.String(required=True, metadata={"description": "Its name.", "example": "key"})


blp = Blueprint("things", __name__, url_prefix="/things", description="An endpoint that can lie.")


@blp.route("")
class Things(MethodView):
    @blp.operation("get_thing", public)
    @blp.response(200, Thing, description="A thing.", headers=ETAG)
    def get(self) -> Any:
        """Get a thing

        Lies as it is told.
        """
        lie = request.args.get("lie")
        body = {"name": "key", **({"extra": 1} if lie == "extra field" else {})}
        answer = jsonify({"name": 1} if lie == "wrong type" else {} if lie == "missing field" else body)
        answer.status_code = 202 if lie == "status" else 200
        if lie != "missing header":
            answer.headers["ETag"] = "five" if lie == "wrong header" else '"5"'
        if lie == "undocumented header":
            answer.headers["Location"] = "/things/1"
        if lie == "media type":
            return Response("key", content_type="text/plain", headers={"ETag": '"5"'})
        return answer


@pytest.fixture(scope="module")
def lying(new_app) -> Flask:
    return new_app(blueprints=[blp])


def test_a_true_answer_passes(lying: Flask) -> None:
    assert Bearer(lying).request("GET", "/things").json == {"name": "key"}


@pytest.mark.parametrize(
    "lie",
    [
        "status",
        "missing header",
        "wrong header",
        "undocumented header",
        "extra field",
        "missing field",
        "wrong type",
        "media type",
    ],
)
def test_a_wrong_answer_fails_the_test_that_sees_it(lying: Flask, lie: str) -> None:
    with pytest.raises(UndocumentedAnswerError, match="get_thing"):
        Bearer(lying).request("GET", "/things", query_string={"lie": lie})
