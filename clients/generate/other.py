"""Any other language, by openapi-generator."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .common import codegen_copy, document, run

# Sources alone, without the generator's documentation and tests of them.
PARTS = "apis,models,supportingFiles,apiDocs=false,modelDocs=false,apiTests=false,modelTests=false"
# Twice the same bytes, and no failure at a value that a later server adds; a generator passes over what it does not know.
PROPERTIES = "hideGenerationTimestamp=true,enumUnknownDefaultCase=true"
# What makes a good client of some languages. Java: of the JDK and Jackson alone.
CHOSEN = {
    "java": (
        "--library=native",
        "--additional-properties=useJakartaEe=true,useJspecify=true,openApiNullable=false,annotationLibrary=none,documentationProvider=none",
    ),
}


def write(language: str, folder: Path, *options: str, change: Callable[[Any], Any] = lambda copy: copy) -> None:
    """Generate a client into `folder`; `options` are openapi-generator's, `change` is done to the copy before."""
    with tempfile.TemporaryDirectory() as root:
        copy = Path(root) / "keycard.json"
        copy.write_text(json.dumps(change(one_bearer(codegen_copy(document())))))
        always = ("--global-property", PARTS, f"--additional-properties={PROPERTIES}", *CHOSEN.get(language, ()))
        run("openapi-generator-cli", "generate", "-i", copy, "-g", language, "-o", folder, *always, *options)


def one_bearer(copy: dict[str, Any]) -> dict[str, Any]:
    """Make one scheme of those that are a bearer token in the Authorization header: the generator for C declares each anew.

    Which token an operation takes is then said by its description alone.
    """
    schemes = copy["components"]["securitySchemes"]
    first, *others = [name for name, each in schemes.items() if each.get("scheme") == "bearer"]
    kept = {name: each for name, each in schemes.items() if name not in others}

    def rewritten(demands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        made = [{first if name in others else name: scopes for name, scopes in each.items()} for each in demands]
        return [each for place, each in enumerate(made) if each not in made[:place]]

    paths = {
        path: {
            key: {**each, "security": rewritten(each["security"])} if "security" in each else each for key, each in item.items()
        }
        for path, item in copy["paths"].items()
    }
    return {**copy, "paths": paths, "components": {**copy["components"], "securitySchemes": kept}}
