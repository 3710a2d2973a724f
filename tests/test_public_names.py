"""Libraries are used by the names that they document, so that a new version of one can go in on the day it appears."""

import ast
from collections.abc import Iterator
from pathlib import Path

API = Path(__file__).parent.parent / "api"
# Documented although they begin with an underscore: Werkzeug's LocalProxy, SQLAlchemy's Row, marshmallow's custom fields.
DOCUMENTED = {"_get_current_object", "_mapping", "_validate", "_serialize", "_deserialize"}
DOCUMENTED |= {"_asdict", "_fields"}  # named tuples
# What is left of private names, by file. None may be added; docs/decisions/0038 says where each is.
LEFT = {
    "extensions.py": {"_decode_key_callback"},
    "http/blueprint.py": {"_apidoc", "_docs", "_prepare_doc_cbks"},
    "http/guards.py": {
        "_jwt_extended_jwt", "_jwt_extended_jwt_header", "_jwt_extended_jwt_location", "_jwt_extended_jwt_user",
    },
}  # fmt: skip


def trees() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(API.rglob("*.py")):
        yield str(file.relative_to(API)), ast.parse(file.read_text())


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def ours() -> set[str]:
    """Every name that the code of Keycard gives."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
                found.add(node.attr)
    return found


def test_no_private_name_of_a_library_is_used() -> None:
    known = ours() | DOCUMENTED
    found: dict[str, set[str]] = {}
    for file, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                if node.attr not in known:
                    found.setdefault(file, set()).add(node.attr)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                private = {each.name for each in node.names if each.name.startswith("_")}
                if private or any(
                    part.startswith("_") for part in (node.module or "").split(".") if part not in {"__future__", "_typeshed"}
                ):
                    found.setdefault(file, set()).update(private or {node.module or ""})
    assert found == LEFT
