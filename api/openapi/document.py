"""Building the document, and writing it in one way only."""

import copy
import json
from typing import Any

import flask_smorest
import yaml
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, current_app

from ..config import Settings
from ..problems import REGISTRY
from ..version import __version__
from .components import DESCRIPTION, HEADERS, INPUT_ERROR, PROBLEM, security_schemes
from .examples import add_examples
from .faithful import faithful

EXTENSION = "keycard.document"
METHODS = ("get", "post", "put", "patch", "delete")
OPERATION_ORDER = ("operationId", "summary", "description", "tags", "security", "parameters", "requestBody", "responses")


def _schema_name(schema: Any) -> str:
    """`UserSchema` is called `User` in the document."""
    name = (schema if isinstance(schema, type) else type(schema)).__name__
    return name.removesuffix("Schema")


class Api(flask_smorest.Api):
    """smorest's Api without its error format, its private headers and its pages."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask, settings: Settings, *, access_cookie: str, refresh_cookie: str) -> None:
        super().__init__(
            app,
            spec_kwargs={
                "title": "Keycard",
                "version": __version__,
                "openapi_version": "3.1.1",
                "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=_schema_name),
                "info": {
                    "summary": "Accounts, sessions and tokens.",
                    "description": DESCRIPTION,
                    "license": {"name": "MIT", "identifier": "MIT"},
                },
                "servers": [{"url": settings.public_url, "description": "This deployment."}],
            },
        )
        self.ma_plugin.converter.add_attribute_function(faithful)
        components = self.spec.components
        components.schema("Problem", copy.deepcopy(PROBLEM))
        components.schema("InputError", copy.deepcopy(INPUT_ERROR))
        for name, header in HEADERS.items():
            components.header(name, copy.deepcopy(header))
        for name, scheme in security_schemes(access_cookie, refresh_cookie).items():
            components.security_scheme(name, scheme)
        app.extensions[EXTENSION] = self

    def _register_error_handlers(self) -> None:
        """Problems are rendered in one place, which is not here."""

    def _register_responses(self) -> None:
        """Every response of ours is described where it is declared."""

    def _register_etag_headers(self) -> None:
        """Ours are in `components`."""

    def _register_pagination_header(self) -> None:
        """Pages are in the body."""


def document() -> dict[str, Any]:
    """Return the complete document of the current app."""
    api: Api = current_app.extensions[EXTENSION]
    made: dict[str, Any] = json.loads(json.dumps(api.spec.to_dict(), default=str))
    add_examples(made)
    made["components"]["schemas"]["Problem"]["properties"]["type"]["examples"] = _problem_types()
    return _tidy(made)


def _problem_types() -> list[str]:
    """Every `type` there is: clients make their constants of them, and none that is not of this house is among them."""
    return sorted(kind.type_uri() for kind in REGISTRY.values() if kind.__module__.startswith("api."))


def _tidy(made: dict[str, Any]) -> dict[str, Any]:
    """Put everything into one order. Tags and paths keep theirs, in which blueprints and resources are declared."""
    used = {tag for item in made["paths"].values() for method in METHODS if method in item for tag in item[method]["tags"]}
    made["tags"] = [tag for tag in made["tags"] if tag["name"] in used]
    made["paths"] = {path: _tidy_item(item) for path, item in made["paths"].items()}
    # Schemas are sorted by name; the others stand in the order in which `components` names them, the usual way first.
    made["components"]["schemas"] = dict(sorted(made["components"]["schemas"].items()))
    return _in_order(made, ("openapi", "info", "servers", "tags", "paths", "components"))


def _tidy_item(item: dict[str, Any]) -> dict[str, Any]:
    methods = {name: _in_order(item[name], OPERATION_ORDER) for name in METHODS if name in item}
    return {name: value for name, value in item.items() if name not in METHODS} | methods


def _in_order(members: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    order = sorted(members, key=lambda name: (first.index(name) if name in first else len(first), name))
    return {name: members[name] for name in order}


def to_json(made: dict[str, Any]) -> str:
    """Write the document as JSON, the same bytes for the same document."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def to_yaml(made: dict[str, Any]) -> str:
    """Write the document as YAML, the same bytes for the same document."""
    return str(yaml.dump(made, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=100))


def served_json() -> str:
    """The document of the running app, made once."""
    return _once("json", to_json)


def served_yaml() -> str:
    """The document of the running app as YAML, made once."""
    return _once("yaml", to_yaml)


def _once(kind: str, write: Any) -> str:
    made: dict[str, str] = current_app.extensions.setdefault("keycard.served", {})
    if kind not in made:
        made[kind] = write(document())
    return made[kind]
