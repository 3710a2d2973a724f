"""The published keys."""

from typing import Any

from flask.views import MethodView

from ..http import Blueprint, public
from ..problems import ServiceUnavailable
from .keyring import keyring
from .rotation import JWKS_MAX_AGE
from .schemas import JwksSchema

blp = Blueprint("keys", __name__, description="The public halves of the signing keys.")


@blp.route("/.well-known/jwks.json")
class Jwks(MethodView):
    @blp.operation("get_jwks", public)
    @blp.cached(JWKS_MAX_AGE)
    @blp.response(200, JwksSchema, description="The key set (RFC 7517).")
    @blp.problems(ServiceUnavailable)
    def get(self) -> Any:
        """Get the keys that verify access tokens

        Other services verify tokens with these keys and need no secret and no call per request. A key appears here before it
        signs its first token and stays until its last token has expired, so a cache that is refreshed on an unknown `kid`
        never refuses a good token.
        """
        return {"keys": keyring().published()}
