"""A change that breaks a client of the newest released document fails, and says where; a harmless one passes.

The comparison is Redocly's, with the configuration and the rules in openapi/lint. These tests hold both, and the next release of
Redocly, to what openapi/README.md promises. They need what `npm ci --prefix openapi/lint` installs: `tox run -e openapi` does it.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

OPENAPI = Path(__file__).parents[2] / "openapi"
LINT = OPENAPI / "lint"
REDOCLY = LINT / "node_modules" / ".bin" / "redocly"
INSTALLED = REDOCLY.exists() and shutil.which("npm") is not None
pytestmark = pytest.mark.skipif(not INSTALLED, reason="the lints are not installed: tox run -e openapi")

Document = dict[str, Any]
Change = Callable[[Document], object]


def operation(document: Document, name: str) -> Any:
    items = [each for item in document["paths"].values() for each in item.values() if isinstance(each, dict)]
    return {each["operationId"]: each for each in items}[name]


def answer(document: Document, name: str, status: str = "200") -> Any:
    return operation(document, name)["responses"][status]


def query(document: Document, name: str, parameter: str) -> Any:
    return {each["name"]: each for each in operation(document, name)["parameters"]}[parameter]


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def field(document: Document, name: str, member: str) -> Any:
    return schema(document, name)["properties"][member]


# The rule that must speak, what it must say and where, and the change.
BREAKING: list[tuple[str, str, Change]] = [
    ("path-removed", "Path `/v1/config` was removed", lambda d: d["paths"].pop("/v1/config")),
    ("operation-removed", "PUT /v1/users/me/password", lambda d: d["paths"]["/v1/users/me/password"].pop("put")),
    ("operation-id-changed", "from 'get_session' to 'who'", lambda d: operation(d, "get_session").update(operationId="who")),
    # Parameters and bodies of requests.
    ("parameter-removed", "`cursor` query", lambda d: operation(d, "list_sessions").update(parameters=[])),
    ("parameter-became-required", "/v1/admin/users/get", lambda d: query(d, "list_users", "q").update(required=True)),
    (
        "parameter-became-required",
        "Required `tenant` header",
        lambda d: operation(d, "list_users")["parameters"].append(
            {"name": "tenant", "in": "header", "required": True, "schema": {"type": "string"}}
        ),
    ),
    ("request-body-removed", "/v1/auth/reauthenticate", lambda d: operation(d, "reauthenticate").pop("requestBody")),
    (
        "keycard/request-body-added",
        "/v1/auth/refresh/post/requestBody",
        lambda d: operation(d, "refresh").update(requestBody={"required": True, "content": {"application/json": {}}}),
    ),
    (
        "required-properties-added",
        "`LoginRequest` became required: `captcha`",
        lambda d: required_field_added(d, "LoginRequest", "captcha"),
    ),
    ("property-removed", "`email` of `RegisterRequest`", lambda d: schema(d, "RegisterRequest")["properties"].pop("email")),
    (
        "enum-values-removed",
        "`delivery` lost values: 'cookie'",
        lambda d: field(d, "LoginRequest", "delivery")["enum"].remove("cookie"),
    ),
    ("enum-values-removed", "was set to 'ada'", lambda d: field(d, "LoginRequest", "username").update(enum=["ada"])),
    (
        "schema-type-changed",
        "narrowed from 'string | null'",
        lambda d: field(d, "ProfileChange", "display_name").update(type="string"),
    ),
    (
        "schema-constraint-changed",
        "`maxLength` of `username`",
        lambda d: field(d, "LoginRequest", "username").update(maxLength=9),
    ),
    (
        "schema-constraint-changed",
        "`minLength` of `username`",
        lambda d: field(d, "LoginRequest", "username").update(minLength=9),
    ),
    ("schema-constraint-changed", "`pattern` of `username`", lambda d: field(d, "LoginRequest", "username").update(pattern="^a")),
    ("schema-constraint-changed", "`maxItems` of `roles`", lambda d: field(d, "RolesRequest", "roles").update(maxItems=1)),
    ("schema-constraint-changed", "Upper bound", lambda d: query(d, "list_users", "limit")["schema"].update(maximum=9)),
    ("schema-constraint-changed", "Lower bound", lambda d: query(d, "list_users", "limit")["schema"].update(minimum=9)),
    # Answers.
    (
        "response-removed",
        "`201` became `200`",
        lambda d: operation(d, "register")["responses"].update({"200": operation(d, "register")["responses"].pop("201")}),
    ),
    (
        "media-type-removed",
        "/problems/get/responses/200/content/text/html",
        lambda d: answer(d, "list_problems")["content"].pop("text/html"),
    ),
    (
        "keycard/body-schema-removed",
        "/.well-known/jwks.json",
        lambda d: answer(d, "get_jwks")["content"]["application/json"].pop("schema"),
    ),
    ("response-header-removed", "`Set-Cookie`", lambda d: answer(d, "login")["headers"].pop("Set-Cookie")),
    (
        "keycard/response-header-became-optional",
        "headers/Location",
        lambda d: d["components"]["headers"]["Location"].update(required=False),
    ),
    ("property-removed", "`csrf_token` of `TokenPair`", lambda d: schema(d, "TokenPair")["properties"].pop("csrf_token")),
    (
        "property-removed",
        "`session_id` of `TokenPair`",
        lambda d: schema(d, "TokenPair")["properties"].update(sid=schema(d, "TokenPair")["properties"].pop("session_id")),
    ),
    (
        "required-properties-removed",
        "no longer required: `refresh_expires_in`",
        lambda d: schema(d, "TokenPair")["required"].remove("refresh_expires_in"),
    ),
    ("enum-values-added", "`delivery` gained values: 'post'", lambda d: field(d, "TokenPair", "delivery")["enum"].append("post")),
    (
        "schema-type-changed",
        "Type of `expires_in` widened",
        lambda d: field(d, "TokenPair", "expires_in").update(type=["integer", "null"]),
    ),
    (
        "schema-constraint-changed",
        "`format` of `id`",
        lambda d: field(d, "Session", "id").update(format="uri"),
    ),
    # Who may call.
    (
        "security-requirement-changed",
        "oauth-authorization-server/get/security/0: Authentication became required",
        lambda d: operation(d, "get_metadata")["security"].append({"accessToken": []}),
    ),
    ("security-requirement-changed", "`accessCookie` is no longer accepted", lambda d: operation(d, "get_me")["security"].pop()),
    (
        "security-requirement-changed",
        "new scopes: 'role owner'",
        lambda d: operation(d, "get_user")["x-required-roles"].append("owner"),
    ),
    (
        "security-requirement-changed",
        "new scopes: 'a fresh token'",
        lambda d: operation(d, "update_me").update({"x-fresh-token": True}),
    ),
    ("security-scheme-changed", "`name`", lambda d: d["components"]["securitySchemes"]["csrfToken"].update(name="X-CSRF")),
]


def field_added(document: Document, name: str, member: str) -> None:
    schema(document, name)["properties"][member] = {"type": "string"}


def required_field_added(document: Document, name: str, member: str) -> None:
    field_added(document, name, member)
    schema(document, name)["required"].append(member)


def media_type_added(document: Document) -> None:
    answer(document, "get_me")["content"]["text/html"] = {"schema": {"type": "string"}}


HARMLESS: list[Change] = [
    lambda d: d["info"].update(description="Said in other words.", version="99.0.0"),
    lambda d: d["servers"][0].update(url="https://auth.example.com"),
    lambda d: d["paths"].update({"/v1/more": {"get": {**operation(d, "get_config"), "operationId": "get_more"}}}),
    lambda d: operation(d, "get_config").update(summary="Another summary", tags=["auth"]),
    lambda d: operation(d, "get_me")["responses"].update({"404": answer(d, "get_user", "404")}),
    lambda d: operation(d, "get_me")["security"].append({"refreshToken": []}),
    lambda d: operation(d, "get_user").pop("x-required-roles"),
    lambda d: operation(d, "list_users")["parameters"].append({"name": "sort", "in": "query", "schema": {"type": "string"}}),
    lambda d: answer(d, "get_me")["headers"].update(New={"schema": {"type": "string"}}),
    media_type_added,
    lambda d: field_added(d, "LoginRequest", "device"),
    lambda d: schema(d, "LoginRequest")["required"].remove("username"),
    lambda d: field(d, "LoginRequest", "delivery")["enum"].append("post"),
    lambda d: field(d, "LoginRequest", "username").update(maxLength=999),
    lambda d: field(d, "LoginRequest", "username").pop("pattern"),
    lambda d: field_added(d, "User", "nickname"),
    lambda d: schema(d, "TokenPair")["required"].append("access_token"),
    lambda d: field(d, "TokenPair", "delivery")["enum"].remove("cookie"),
    lambda d: field(d, "TokenPair", "expires_in").update(maximum=99999, examples=[1], description="Said in other words."),
]


@pytest.fixture(scope="module")
def document() -> Document:
    return dict(json.loads((OPENAPI / "openapi.json").read_text(encoding="utf-8")))


def changed(document: Document, changes: Iterable[Change]) -> Document:
    """A copy with all of the changes, each of which must be one."""
    made = copy.deepcopy(document)
    for change in changes:
        before = copy.deepcopy(made)
        change(made)
        assert made != before
    return made


def write(file: Path, document: Document) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return file


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=LINT, capture_output=True, text=True, check=False)


def verdicts(old: Document, new: Document, folder: Path) -> list[tuple[str, str]]:
    """What the comparison calls breaking: the rule, and where it says what."""
    files = [write(folder / "old.json", old), write(folder / "new.json", new)]
    result = run([REDOCLY, "diff", *files, "--config", "redocly.yaml", "--format", "json"])
    assert result.stdout, result.stderr
    changes = json.loads(result.stdout)["changes"]
    found = [(each, verdict) for each in changes for verdict in each["verdicts"]]
    return [(verdict["ruleId"], f"{each['path'].replace('~1', '/')}: {verdict['message']}") for each, verdict in found]


@pytest.fixture(scope="module")
def broken(document: Document, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """The verdicts on a document with every breaking change at once: one comparison instead of forty."""
    return verdicts(document, changed(document, [change for _, _, change in BREAKING]), tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize(("rule", "says"), [(rule, says) for rule, says, _ in BREAKING])
def test_a_breaking_change_is_named(rule: str, says: str, broken: list[tuple[str, str]]) -> None:
    assert [text for found, text in broken if found == rule and says in text], [text for found, text in broken if found == rule]


def test_harmless_changes_pass(document: Document, tmp_path: Path) -> None:
    assert verdicts(document, changed(document, HARMLESS), tmp_path) == []


def check(folder: Path, document: Document) -> subprocess.CompletedProcess[str]:
    """Run the check as `tox run -e openapi` does, with the released documents of a folder."""
    released = folder / "released"
    released.mkdir(exist_ok=True)
    return run(["npm", "run", "--silent", "breaking", "--", released, write(folder / "openapi.json", document)])


def release(folder: Path, version: str, document: Document) -> None:
    write(folder / "released" / f"{version}.json", changed(document, [lambda d: d["info"].update(version=version)]))


def test_before_the_first_release_there_is_nothing_to_break(document: Document, tmp_path: Path) -> None:
    result = check(tmp_path, document)
    assert result.returncode == 0
    assert "NO RELEASED DOCUMENT YET" in result.stderr


def test_the_newest_release_by_version_decides(document: Document, tmp_path: Path) -> None:
    """Version 0.10.0 is newer than 0.9.0, which had an operation that is gone since."""
    release(tmp_path, "0.9.0", changed(document, [lambda d: d["paths"].update({"/v1/gone": d["paths"]["/v1/config"]})]))
    release(tmp_path, "0.10.0", document)
    assert check(tmp_path, document).returncode == 0
    result = check(tmp_path, changed(document, [lambda d: d["paths"]["/v1/users/me"].pop("patch")]))
    assert result.returncode == 1
    assert "Operation `PATCH /v1/users/me` was removed." in result.stdout


def test_a_released_document_under_a_wrong_name_is_refused(document: Document, tmp_path: Path) -> None:
    """Otherwise a release could be passed over in silence."""
    release(tmp_path, "0.9.0", document)
    (tmp_path / "released" / "0.9.0.json").rename(tmp_path / "released" / "v0.9.0.json")
    result = check(tmp_path, document)
    assert result.returncode == 1
    assert "name it 0.9.0.json" in result.stderr
