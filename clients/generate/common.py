"""What every generator reads, and what is stamped on what it writes."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).parents[1]
DOCUMENT = CLIENTS.parent / "openapi" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
MENDED_BY = "tox run -e clients-write"


def document() -> dict[str, Any]:
    """The committed document."""
    made: dict[str, Any] = json.loads(DOCUMENT.read_bytes())
    return made


def document_hash() -> str:
    """SHA-256 of the bytes of the document, in hexadecimal."""
    return hashlib.sha256(DOCUMENT.read_bytes()).hexdigest()


def operations(made: dict[str, Any]) -> list[str]:
    """Every operationId."""
    return [item[method]["operationId"] for item in made["paths"].values() for method in METHODS if method in item]


def problem_slugs(made: dict[str, Any]) -> list[str]:
    """Every kind of problem there is."""
    types = made["components"]["schemas"]["Problem"]["properties"]["type"]["examples"]
    return [each.removeprefix("/problems/") for each in types]


def codegen_copy(made: dict[str, Any]) -> dict[str, Any]:
    """The document without what generators stumble over and need not know: links, and all examples.

    openapi-generator takes a link's `requestBody` for a string, although it may be any value (OpenAPI 3.1.1, section 4.8.20).
    """
    return {name: _stripped(value) for name, value in made.items()}


def _stripped(value: Any) -> Any:
    """Names of properties are data: `properties: {"links": …}` would stay."""
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {key: _stripped(each) for key, each in inner.items()}
        if name == "properties" and isinstance(inner, dict)
        else _stripped(inner)
        for name, inner in value.items()
        if name not in {"links", "example", "examples"}
    }


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a generator; what it prints is shown only when it fails."""
    done = subprocess.run([str(each) for each in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
