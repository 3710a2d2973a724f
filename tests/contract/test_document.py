"""The document: valid, current, complete, and of one mind with the router, the schemas and the registry of problems."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.views import MethodView
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api import create_app, openapi
from api.config import Settings
from api.http import Blueprint, Schema, access_token, public
from api.problems import REGISTRY, Problem

COMMITTED = Path(__file__).parents[2] / "openapi"
# Served, and not part of the contract: the page, and the document itself.
OUTSIDE = re.compile(r"^/($|docs|openapi\.|static/|verify-email$|reset-password$|undo-email-change$)")
METHODS = ("get", "put", "post", "delete", "patch")
# Answered before any operation is found, or by a crash: they belong to every operation and to none.
OF_NO_OPERATION = {"method-not-allowed", "internal-error"}

LIFE = {
    "auth": [
        "register", "login", "refresh", "logout", "get_session", "reauthenticate",
        "verify_email", "forgot_password", "reset_password", "undo_email_change", "describe_mailed_token",
    ],
    "users": [
        "get_me", "update_me", "delete_me", "change_email", "send_verification", "withdraw_email_change",
        "change_password", "list_my_events",
    ],
}  # fmt: skip


def made(folder: Path) -> dict[str, Any]:
    with create_app(Settings(instance_path=str(folder))).app_context():
        return openapi.document()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document with default settings."""
    return made(tmp_path_factory.mktemp("instance"))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body of every operation: where, its media type, and its Media Type object."""
    for _, _, operation in operations(document):
        found = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for where, body in found.items():
            for kind, media in body.get("content", {}).items():
                yield f"{operation['operationId']} {where}", kind, media


def examples(media: dict[str, Any]) -> list[Any]:
    named = [each["value"] for each in media.get("examples", {}).values()]
    return [media["example"], *named] if "example" in media else named


def problem_slugs(operation: dict[str, Any]) -> set[str]:
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    return {slug for content in contents for slug in content.get("application/problem+json", {}).get("examples", {})}


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["openapi"] == "3.1.1"


def test_an_invalid_document_would_be_noticed(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator({**document, "paths": {"no-slash": {"get": {}}}}).iter_errors())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("openapi.json", openapi.to_json),
        ("openapi.yaml", openapi.to_yaml),
        ("openapi-3.0.json", lambda made: openapi.to_json(openapi.to_3_0(made))),
    ],
)
def test_the_committed_document_is_current(document: dict[str, Any], name: str, write: Any) -> None:
    """If not: keycard openapi write, and commit the difference with its cause."""
    assert (COMMITTED / name).read_text(encoding="utf-8") == write(document), "run: keycard openapi write"


def test_what_is_served_is_the_document(app: Flask) -> None:
    with app.app_context():
        expected = openapi.document()
    assert app.test_client().get("/openapi.json").json == expected


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """It has a name, a summary, a description, a tag that is itself described, and says who may call it."""
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    faults = [
        f"{method} {path}: {member}"
        for path, method, operation in operations(document)
        for member in ("operationId", "summary", "description", "tags", "security")
        if operation.get(member, "") in ("", None) or (member == "tags" and not set(operation["tags"]) <= tags)
    ]
    assert faults == []


def test_operation_ids_are_function_names_and_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", each)] == []


def test_the_document_is_in_the_order_of_a_life(document: dict[str, Any]) -> None:
    """Whoever reads /docs from above meets an account as its owner does; the order is that of the blueprints and resources."""
    assert [tag["name"] for tag in document["tags"]] == ["auth", "users", "sessions", "admin", "discovery", "keys", "health"]
    shown = [each for item in document["paths"].values() for each in item.values() if "operationId" in each]
    assert {tag: [each["operationId"] for each in shown if each["tags"] == [tag]] for tag in LIFE} == LIFE


def test_every_parameter_and_property_is_described(document: dict[str, Any]) -> None:
    parameters = [
        (f"{path} {parameter['name']}", parameter)
        for path, item in document["paths"].items()
        for holder in (item, *(item[method] for method in METHODS if method in item))
        for parameter in holder.get("parameters", [])
    ]
    properties = [
        (f"{name}.{member}", schema)
        for name, described in document["components"]["schemas"].items()
        for member, schema in described["properties"].items()
    ]
    assert [where for where, found in parameters + properties if not found.get("description")] == []


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    """Pages for people excepted: what they say is not for programs."""
    assert [where for where, kind, media in bodies(document) if kind != "text/html" and not examples(media)] == []


def test_every_example_obeys_its_schema(document: dict[str, Any]) -> None:
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:document", resource)
    faults, judged = [], 0
    for where, _, media in bodies(document):
        schema = media["schema"]
        absolute = {"$ref": "urn:document" + schema["$ref"]} if "$ref" in schema else schema
        validator = Draft202012Validator(absolute, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for example in examples(media):
            judged += 1
            faults += [f"{where}: {error.message}" for error in validator.iter_errors(example)]
    assert faults == []
    assert judged > 50


def test_every_request_example_is_accepted_by_the_schema_that_reads_it(app: Flask) -> None:
    """Not only by JSON Schema: whoever copies an example out of the document gets no validation error."""
    with app.app_context():
        document = openapi.document()
    client, sent = app.test_client(), 0
    for path, method, operation in operations(document):
        if operation["security"] == [] and "requestBody" in operation:
            media = operation["requestBody"]["content"]["application/json"]
            for example in examples(media):
                sent += 1
                assert client.open(path, method=method.upper(), json=example).status_code not in {400, 415, 422}
    assert sent >= 2


def test_the_router_and_the_document_know_the_same_operations(app: Flask, document: dict[str, Any]) -> None:
    routed = {
        (re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not OUTSIDE.match(rule.rule)
    }
    assert routed == {(path, method) for path, method, _ in operations(document)}


def test_every_problem_in_the_document_is_in_the_registry(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json", {})
            for slug, example in content.get("examples", {}).items():
                kind = REGISTRY[slug]
                assert (str(kind.status), kind.type_uri(), kind.title) == (
                    status,
                    example["value"]["type"],
                    example["value"]["title"],
                )


def test_every_problem_in_the_registry_is_in_the_document(document: dict[str, Any]) -> None:
    """A kind that no operation declares is dead, or undeclared where it is raised."""
    ours = {slug for slug, kind in REGISTRY.items() if kind.__module__.startswith("api.")}
    declared = set().union(*(problem_slugs(operation) for _, _, operation in operations(document)))
    assert ours - declared == OF_NO_OPERATION


def test_every_problem_explains_itself() -> None:
    """Slugs read as words, and each page says what happened and what to do."""
    for slug, kind in REGISTRY.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug), slug
        assert kind.title, slug
        assert kind.remedy.endswith("."), slug
        assert kind.explanation() not in {"", " ".join((Problem.__doc__ or "").split())}, slug


class Nothing(Schema):
    """An empty answer."""


def shop(*decorators: Any) -> Blueprint:
    """A blueprint of one operation, with these declarations."""
    blp = Blueprint("shop", __name__, description="Test.")

    def get(self: Any) -> dict[str, Any]:
        """Get nothing"""
        return {}

    for decorate in (blp.response(200, Nothing, description="Nothing."), *decorators):
        get = decorate(get)
    blp.route("/shop")(type("Shop", (MethodView,), {"get": get, "__module__": __name__}))
    return blp


def test_an_operation_that_declares_no_security_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"declares no security: add @blp\.operation"):
        create_app(Settings(instance_path=str(tmp_path)), blueprints=[shop()])


@pytest.mark.parametrize("security", [public, access_token], ids=["public", "access"])
def test_an_operation_that_declares_its_security_starts(tmp_path: Path, security: Any) -> None:
    app = create_app(Settings(instance_path=str(tmp_path)), blueprints=[shop(Blueprint.operation("get_nothing", security))])
    with app.app_context():
        operation = openapi.document()["paths"]["/shop"]["get"]
    assert (operation["operationId"], operation["security"] == []) == ("get_nothing", security is public)
