"""The lints bite: a rule that openapi/lint narrows or replaces still speaks where it makes sense.

That the committed document is clean, `tox run -e openapi` says. These need what it installs.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_breaking_changes import (
    INSTALLED,
    LINT,
    OPENAPI,
    Change,
    Document,
    answer,
    changed,
    field,
    operation,
    query,
    run,
    write,
)

pytestmark = pytest.mark.skipif(not INSTALLED, reason="the lints are not installed: tox run -e openapi")

# The rule that must speak, where, and the change.
FAULTS: list[tuple[str, str, Change]] = [
    ("owasp:api2:2023-read-restricted", "/v1/users/me/get", lambda d: operation(d, "get_me").update(security=[])),
    ("owasp:api2:2023-write-restricted", "/v1/users/me/patch", lambda d: operation(d, "update_me").update(security=[])),
    ("owasp:api4:2023-array-limit", "RolesRequest/properties/roles", lambda d: field(d, "RolesRequest", "roles").pop("maxItems")),
    ("owasp:api4:2023-integer-limit", "/v1/admin/users/get", lambda d: query(d, "list_users", "limit")["schema"].pop("maximum")),
    ("owasp:api4:2023-string-limit", "/properties/password", lambda d: field(d, "LoginRequest", "password").pop("maxLength")),
    ("owasp:api4:2023-string-restricted", "/properties/username", lambda d: field(d, "LoginRequest", "username").pop("pattern")),
    ("owasp:api4:2023-rate-limit", "/responses/201", lambda d: answer(d, "register", "201")["headers"].pop("RateLimit")),
    ("owasp:api4:2023-rate-limit-responses-429", "/v1/auth/login", lambda d: operation(d, "login")["responses"].pop("429")),
    ("keycard-admin-names-its-role", "/v1/admin/users/get", lambda d: operation(d, "list_users").pop("x-required-roles")),
    (
        "owasp:api8:2023-define-error-responses-401",
        "password/put",
        lambda d: operation(d, "change_password")["responses"].pop("401"),
    ),
    ("owasp:api8:2023-define-error-validation", "users/get", lambda d: operation(d, "list_users")["responses"].pop("422")),
]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document with every fault at once. Spectral's exceptions go by the name of the file."""
    document = json.loads((OPENAPI / "openapi.json").read_text(encoding="utf-8"))
    faults = changed(document, [change for _, _, change in FAULTS])
    return write(tmp_path_factory.mktemp("faulty") / "openapi.json", faults)


@pytest.fixture(scope="module")
def findings(faulty: Path) -> set[tuple[str, str]]:
    command = ["spectral", "lint", faulty, "--ruleset", "spectral.yaml", "--format", "json", "--quiet"]
    result = run([LINT / "node_modules" / ".bin" / command[0], *command[1:]])
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return {(each["code"], "/".join(map(str, each["path"]))) for each in found}


@pytest.mark.parametrize(("rule", "where"), [(rule, where) for rule, where, _ in FAULTS])
def test_a_fault_is_found(rule: str, where: str, findings: set[tuple[str, str]]) -> None:
    assert [path for found, path in findings if found == rule and where in path], findings


def test_a_warning_of_redocly_fails(tmp_path: Path) -> None:
    def no_4xx(document: Document) -> None:
        operation(document, "get_jwks")["responses"].pop("429")

    document = json.loads((OPENAPI / "openapi.json").read_text(encoding="utf-8"))
    file = write(tmp_path / "openapi.json", changed(document, [no_4xx]))
    result = run([LINT / "node_modules" / ".bin" / "redocly", "lint", file, "--config", "redocly.yaml", "--format", "json"])
    assert result.returncode == 1
    assert "#/paths/~1.well-known~1jwks.json/get/responses" in result.stdout
