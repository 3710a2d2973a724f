"""The copy in OpenAPI 3.0.3: valid, and it judges every value as the document does."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS30WriteValidator
from openapi_spec_validator import OpenAPIV30SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

from api import openapi
from tests.contract.test_document import COMMITTED

WRONG = (None, True, 0, -1, 10**6, "", "x", "x" * 300, "no such value", [], [None], {}, {"unknown": 1})


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The committed one: that it is current, and the same in every store, is shown in test_document."""
    found: dict[str, Any] = json.loads((COMMITTED / "openapi.json").read_bytes())
    return found


@pytest.fixture
def older(document: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(document)
    made = openapi.to_3_0(document)
    assert document == before
    return made


def test_it_is_valid(older: dict[str, Any]) -> None:
    assert older["openapi"] == "3.0.3"
    assert list(OpenAPIV30SpecValidator(older).iter_errors()) == []


def test_what_is_new_in_3_1_would_be_noticed(document: dict[str, Any]) -> None:
    """So the test above can fail."""
    assert list(OpenAPIV30SpecValidator({**document, "openapi": "3.0.3"}).iter_errors())


def test_it_has_the_same_operations_answers_and_links(document: dict[str, Any], older: dict[str, Any]) -> None:
    assert outline(older) == outline(document)


def outline(made: dict[str, Any]) -> list[Any]:
    return [
        (path, method, operation["operationId"], operation["security"], operation.get("x-required-roles"), answers(operation))
        for path, item in made["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    ]


def answers(operation: dict[str, Any]) -> list[Any]:
    return [
        (status, each["description"], list(each.get("headers", {})), list(each.get("content", {})), each.get("links"))
        for status, each in operation["responses"].items()
    ]


def test_both_judge_every_value_alike(document: dict[str, Any], older: dict[str, Any]) -> None:
    """Each example, and each variant of it with something missing, too much or of another kind."""
    new = Resource(document, DRAFT202012)
    old = Resource(older, DRAFT4)
    judged = accepted = 0
    for name, value in values(document):
        where = {"$ref": f"urn:document#/components/schemas/{name}"}
        now = Draft202012Validator(where, registry=Registry().with_resource("urn:document", new)).is_valid(value)
        then = OAS30WriteValidator(where, registry=Registry().with_resource("urn:document", old)).is_valid(value)
        assert now is then, (name, value)
        judged += 1
        accepted += now
    assert judged > 1000
    assert judged // 20 < accepted < judged


def values(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, example in examples(document):
        for changed in variants(example):
            yield name, changed


def examples(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The examples of bodies, with the name of their schema."""
    for item in document["paths"].values():
        for operation in (each for each in item.values() if isinstance(each, dict)):
            for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for content in body.get("content", {}).values():
                    name = content["schema"].get("$ref", "").rpartition("/")[2]
                    found = (
                        [content["example"]]
                        if "example" in content
                        else [each["value"] for each in content.get("examples", {}).values()]
                    )
                    yield from ((name, each) for each in found if name)


def variants(value: Any) -> Iterator[Any]:
    yield value
    yield from WRONG
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        for name, inner in value.items():
            yield {other: each for other, each in value.items() if other != name}
            yield from ({**value, name: changed} for changed in variants(inner))
    if isinstance(value, list) and value:
        yield from ([changed] for changed in variants(value[0]))


def test_nothing_of_3_1_is_left(older: dict[str, Any]) -> None:
    text = json.dumps(older["components"]["schemas"])
    assert '"const"' not in text
    assert '"null"' not in text
    assert '"anyOf"' not in text
