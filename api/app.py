"""The table of contents: what Keycard is made of, in order."""

from collections.abc import Sequence

from flask import Flask
from flask_smorest import Blueprint as SmorestBlueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from . import database, docs, keys, observability, problems
from .accounts.mail import COMPOSERS
from .accounts.resources import joining, mailed, me
from .admin.resources import blp as administration
from .config import Settings, load_settings
from .discovery.resources import blp as discovery
from .extensions import cors
from .health import listener
from .health.resources import blp as health
from .http import guards, headers, limits
from .http.leftovers import Leftovers
from .json_format import Provider
from .keys.resources import blp as jwks
from .migrations import Migrations
from .openapi import Api
from .sessions import revocation
from .sessions.cookies import CookieNames
from .sessions.door import Door
from .sessions.principal import find_live
from .sessions.resources import auth, mine
from .users import passwords

# In the order in which the document, /docs and the clients show them: as a person's life goes, then what machines ask.
FEATURES = (joining, auth, mailed, me, mine, administration, discovery, jwks, health)


def create_app(settings: Settings | None = None, *, blueprints: Sequence[SmorestBlueprint] = ()) -> Flask:
    """Make the WSGI application.

    settings: read from the environment when not given. blueprints: endpoints of your own, made with `api.http.Blueprint`.
    Raises ConfigurationError, which names every fault of the settings.
    """
    settings = settings or load_settings()
    app = Flask("api", instance_path=str(settings.instance))
    app.json = Provider(app)
    app.config.update(SETTINGS=settings, MAX_CONTENT_LENGTH=settings.max_body_bytes)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # its redirect would be built from the Host header
    app.wsgi_app = Door(app, settings)  # type: ignore[method-assign]
    if settings.trusted_hops:
        hops = settings.trusted_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    cookie_names = CookieNames.of(settings)
    database.init_app(app, settings)
    observability.init_app(app, settings)
    app.extensions["migrate"] = Migrations()
    headers.init_app(app)
    problems.init_app(app)
    guards.init_app(app, cookie_names.access, cookie_names.refresh, find_live)
    limits.init_app(app, settings)
    passwords.init_app(app, settings)
    keys.init_app(app, settings)
    revocation.init_app(app, settings)
    app.extensions["keycard.composers"] = COMPOSERS
    _allow_origins(app, settings)
    api = Api(app, settings, access_cookie=cookie_names.access, refresh_cookie=cookie_names.refresh)
    with app.app_context():  # the document tells the rules that the settings choose
        for blueprint in (*FEATURES, *blueprints):
            api.register_blueprint(blueprint)
    docs.init_app(app, settings)
    listener.init_app(app)
    app.wsgi_app = Leftovers(app.wsgi_app, settings.max_body_bytes)  # type: ignore[method-assign]
    return app


def _allow_origins(app: Flask, settings: Settings) -> None:
    if settings.cors_origins:
        cors.init_app(
            app,
            origins=list(settings.cors_origins),
            supports_credentials=True,
            allow_headers=["Authorization", "Content-Type", guards.CSRF_HEADER, "X-Request-ID", "If-Match"],
            expose_headers=[
                "ETag",
                "Link",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "WWW-Authenticate",
                "X-Request-ID",
            ],
            max_age=600,
        )
