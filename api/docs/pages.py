"""The page and its assets, the README, and the document in both formats."""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Flask, Response, abort, redirect, render_template, send_from_directory
from werkzeug.wrappers import Response as BaseResponse

from ..config import Settings, settings
from ..openapi import served_json, served_yaml
from ..source import checkout
from ..version import __version__
from . import demo

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css")
# Neither the page nor anything on it may load, run or reach what is not ours.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
DAY = 86_400
HERE = Path(__file__).parent

# The look of every page, also of those that stay when the documentation is switched off.
look = Blueprint("look", __name__, template_folder="templates")
blueprint = Blueprint("docs", __name__, static_folder="static", static_url_path="/docs/static")


def init_app(app: Flask, settings: Settings) -> None:
    """Serve the document always, and the page unless it is switched off."""
    app.add_url_rule("/openapi.json", "openapi_json", _json)
    app.add_url_rule("/openapi.yaml", "openapi_yaml", _yaml)
    app.register_blueprint(look)
    if settings.docs_enabled:
        app.register_blueprint(blueprint)


def _json() -> Response:
    return Response(served_json(), content_type="application/json")


def _yaml() -> Response:
    return Response(served_yaml(), content_type="application/yaml")


@look.get("/static/keycard.css")
def stylesheet() -> Response:
    return static_file("keycard.css")


def static_file(name: str) -> Response:
    """One of our own files, for pages that stay when the documentation is switched off."""
    return send_from_directory(HERE / "static", name)


@blueprint.get("/")
def index() -> BaseResponse:
    return redirect("/docs")


@blueprint.get("/docs")
def page() -> Response:
    chosen = settings()
    secret = demo.password(chosen) if demo.are_offered() else None
    return html(
        "docs.html",
        mode=chosen.env,
        public_url=chosen.public_url,
        demo_accounts=demo.ACCOUNTS if secret else (),
        demo_password=secret,
        has_readme=bool(_readme()),
    )


@blueprint.get("/docs/readme")
def readme() -> Response:
    return html("readme.html", text=_readme() or abort(404))


@blueprint.get("/docs/assets/<path:name>")
def asset(name: str) -> Response:
    return send_from_directory(SWAGGER_UI, name if name in ASSETS else "-", max_age=DAY)


def html(template: str, **values: object) -> Response:
    """A page of ours, under the strict Content-Security-Policy."""
    response = Response(render_template(template, version=__version__, **values), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = CSP
    return response


def _readme() -> str:
    """The README of the checkout, or the one that the package was built with: at hand wherever Keycard is installed."""
    if found := checkout():
        return (found / "README.md").read_text(encoding="utf-8")
    try:
        described = metadata("keycard")
    except PackageNotFoundError:
        return ""
    body = described.get_payload()  # type: ignore[attr-defined]
    return str(described["Description"] or body or "").strip()
