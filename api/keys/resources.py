"""The published keys."""

from typing import Any

from flask.views import MethodView

from ..http import Blueprint, public
from ..problems import ServiceUnavailable
from .keyring import keyring
from .rotation import JWKS_MAX_AGE
from .schemas import JwksSchema

blp = Blueprint("keys", __name__, description="The public keys that verify tokens.")


@blp.route("/.well-known/jwks.json")
class Jwks(MethodView):
    @blp.operation("get_jwks", public)
    @blp.cached(JWKS_MAX_AGE)
    @blp.response(200, JwksSchema, description="The key set (RFC 7517).")
    @blp.problems(ServiceUnavailable)
    def get(self) -> Any:
        """Get the keys that verify access tokens

        Other services verify access tokens with these keys, without a secret and without a call per request. A key is published
        before it signs a token, until its last token has expired. Cache the keys, and read them again when a token has an unknown
        `kid`.
        """
        return {"keys": keyring().published()}
