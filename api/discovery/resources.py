"""Metadata, configuration, and the registry of problems."""

from typing import Any

from flask import Response, after_this_request, render_template, request
from flask.views import MethodView

from ..config import settings
from ..docs.problem_pages import answered_by, example_answer
from ..http import Blueprint, limits, link, public
from ..http.guards import CSRF_HEADER
from ..problems import REGISTRY, NotFound, Problem
from ..sessions.cookies import CookieNames
from ..sessions.schemas import DELIVERIES
from ..users import policy
from ..users.policy import MAX_LENGTH
from ..version import __version__
from .schemas import ConfigSchema, Metadata, ProblemType, ProblemTypes

blp = Blueprint("discovery", __name__, template_folder="templates", description="What a client can learn before it signs in.")
SLUG = {
    "in": "path",
    "name": "slug",
    "description": "The slug: the last part of the problem's `type`.",
    "schema": {"type": "string", "maxLength": 64, "pattern": "^[a-z]+(-[a-z]+)*$"},
    "example": "not-found",
}
PAGE = {"text/html": {"schema": {"type": "string"}}}


@blp.route("/.well-known/oauth-authorization-server")
class AuthorizationServer(MethodView):
    @blp.operation("get_metadata", public)
    @blp.cached(3600)
    @blp.response(200, Metadata, description="The metadata (RFC 8414).")
    def get(self) -> dict[str, Any]:
        """Get the server metadata

        For libraries that know the issuer and look for its signing keys.
        """
        url = settings().public_url
        return {
            "issuer": url,
            "jwks_uri": f"{url}/.well-known/jwks.json",
            "service_documentation": f"{url}/docs",
            "response_types_supported": [],
            "grant_types_supported": [],
        }


@blp.route("/v1/config")
class Config(MethodView):
    @blp.operation("get_config", public)
    @blp.response(200, ConfigSchema, description="The configuration.")
    def get(self) -> dict[str, Any]:
        """Get the public configuration

        What a sign-in page needs to know: the password policy, lifetimes, rate limits and the names of cookies.
        """
        chosen = settings()
        names = CookieNames.of(chosen)
        rates = [rate for limit in limits.TABLE for rate in limit.rates] if chosen.ratelimit_enabled else []
        return {
            "version": __version__,
            "environment": chosen.env,
            "features": {
                "registration": True,
                "documentation": chosen.docs_enabled,
                "rate_limits": chosen.ratelimit_enabled,
                "cross_origin": bool(chosen.cors_origins),
            },
            "deliveries": DELIVERIES,
            "password_policy": {**vars(policy(chosen)), "max_length": MAX_LENGTH},
            "token_lifetimes": {
                "access_token": chosen.access_token_lifetime,
                "refresh_token": chosen.refresh_token_lifetime,
                "session": chosen.session_lifetime,
                "refresh_grace": chosen.refresh_grace,
                "fresh": chosen.fresh_lifetime,
            },
            "rate_limits": [
                {"name": part.name, "limit": part.limit, "window": part.window, "counts": rate.counts}
                for rate in rates
                for part in rate.parts(chosen)
            ],
            "cookies": {**vars(names), "csrf_header": CSRF_HEADER},
        }


def _described(kind: type[Problem]) -> dict[str, Any]:
    return {
        "type": kind.type_uri(),
        "slug": kind.slug,
        "title": kind.title,
        "status": kind.status,
        "explanation": kind.explanation(),
        "remedy": kind.remedy,
    }


def _wants_html() -> bool:
    @after_this_request
    def vary(response: Response) -> Response:
        response.vary.add("Accept")  # a cache must keep the two forms apart
        return response

    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _page(template: str, **values: Any) -> Response:
    if "problem" in values:
        slug = values["problem"]["slug"]
        values |= {"example": example_answer(slug), "operations": answered_by(slug)}
    page = Response(
        render_template(template, docs_enabled=settings().docs_enabled, **values), content_type="text/html; charset=utf-8"
    )
    page.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    page.vary.add("Accept")  # the same address answers programs in JSON
    return page


@blp.route("/problems")
class Problems(MethodView):
    @blp.operation("list_problems", public)
    @blp.cached(3600)
    @blp.doc(responses={"200": {"content": PAGE}})
    @blp.response(200, ProblemTypes, description="Every kind of problem, for people as HTML and for programs as JSON.")
    @blp.links(problem=link("get_problem", "Explain one of them.", slug="$response.body#/items/0/slug"))
    def get(self) -> Any:
        """List every kind of problem

        Every `type` that an error of this API can have. A browser gets a page.
        """
        kinds = [_described(REGISTRY[slug]) for slug in sorted(REGISTRY)]
        return _page("problems.html", problems=kinds) if _wants_html() else {"items": kinds}


@blp.route("/problems/<slug>", parameters=[SLUG])
class ProblemBySlug(MethodView):
    @blp.operation("get_problem", public)
    @blp.cached(3600)
    @blp.doc(responses={"200": {"content": PAGE}})
    @blp.response(200, ProblemType, description="The kind of problem, for people as HTML and for programs as JSON.")
    @blp.problems(NotFound)
    def get(self, slug: str) -> Any:
        """Explain one kind of problem

        What happened, and what to do. A browser gets a page.
        """
        if slug not in REGISTRY:
            raise NotFound
        kind = _described(REGISTRY[slug])
        return _page("problem.html", problem=kind) if _wants_html() else kind
