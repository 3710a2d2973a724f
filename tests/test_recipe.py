"""Endpoints of your own: the very code that docs/own-endpoints.md shows, run."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from flask import Flask
from flask_migrate import upgrade

from api import keys
from api.database import db
from tests.actors import Bearer
from tests.conftest import Stores
from tests.contract.recorder import RecordingClient
from tests.test_readme import SCRIPTS, blocks, free_port, page, serving

PAGE = page("docs/own-endpoints.md")
[CODE] = [text for language, text in blocks(PAGE) if language == "python"]
COMMANDS = [text.strip() for language, text in blocks(PAGE) if language == "sh"]


def environment(folder: Path) -> dict[str, str]:
    return Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None).environment(folder)


def load(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Save the code as `shop.py` and import it."""
    (folder / "shop.py").write_text(code, encoding="utf-8")
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    importlib.invalidate_caches()
    try:
        return importlib.import_module("shop")
    finally:
        sys.modules.pop("shop", None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app of the recipe, every answer compared with its own document."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        app: Flask = load(CODE, tmp_path_factory.mktemp("shop"), monkeypatch).app
    app.test_client_class = RecordingClient
    with app.app_context():
        upgrade()
        keys.ensure_current()
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_whoever_is_signed_in_gets_the_items(shop: Flask) -> None:
    ada = Bearer(shop).join()
    answer = ada.get("/items")
    assert (answer.status_code, answer.json) == (200, {"buyer": ada.name, "items": [{"name": "Lamp"}]})


def test_an_anonymous_caller_gets_no_items(shop: Flask) -> None:
    answer = Bearer(shop).get("/items")
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/authentication-required")


def test_somebody_signed_out_gets_no_items(shop: Flask) -> None:
    """Revocation protects the endpoints of others too."""
    ada = Bearer(shop).join()
    ada.logout()
    assert ada.get("/items").json["type"] == "/problems/token-revoked"


def test_the_greeting_knows_anonymous_and_signed_in_callers(shop: Flask) -> None:
    ada = Bearer(shop).join()
    assert Bearer(shop).get("/greeting").json == {"text": "Hello, stranger!"}
    assert ada.get("/greeting").json == {"text": f"Hello, {ada.name}!"}


def test_the_greeting_refuses_a_bad_token(shop: Flask) -> None:
    """Optional means that none is fine, not that any is."""
    assert Bearer(shop).request("GET", "/greeting", token="nonsense").status_code == 401


def test_the_stock_is_for_the_role_alone(shop: Flask) -> None:
    """Also an administrator is not a clerk."""
    assert Bearer(shop).join(roles=["clerk"]).get("/stock").status_code == 200
    for roles in (["user"], ["admin"]):
        answer = Bearer(shop).join(roles=roles).get("/stock")
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-required")


def test_the_served_document_has_the_operations(shop: Flask) -> None:
    paths = shop.test_client().get("/openapi.json").json["paths"]
    items, greeting, stock = (paths[path]["get"] for path in ("/items", "/greeting", "/stock"))
    assert [each["operationId"] for each in (items, greeting, stock)] == ["list_items", "get_greeting", "list_stock"]
    assert {} not in items["security"]
    assert {} in greeting["security"]
    assert stock["x-required-roles"] == ["clerk"]
    assert {"401", "403"} <= set(stock["responses"])


def test_an_operation_without_a_declaration_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is public by forgetting."""
    forgotten = CODE.replace('    @blp.operation("list_items", access_token)\n', "")
    assert forgotten != CODE
    with pytest.raises(RuntimeError, match=r"GET declares no security: add @blp\.operation"):
        load(forgotten, tmp_path, monkeypatch)


@pytest.mark.parametrize("command", COMMANDS, ids=["flask", "granian"])
def test_the_recipe_runs_with_the_commands_shown(command: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CODE, encoding="utf-8")
    chosen = environment(tmp_path)
    subprocess.run([SCRIPTS / "keycard", "db", "upgrade"], cwd=tmp_path, env=chosen, check=True, capture_output=True)
    port = free_port()
    words = command.replace(".venv/bin/", f"{SCRIPTS}/").replace("8000", str(port)).split()
    with serving(words, port, tmp_path, **chosen) as url:
        assert httpx.get(f"{url}/greeting").json() == {"text": "Hello, stranger!"}
        assert httpx.get(f"{url}/items").status_code == 401
