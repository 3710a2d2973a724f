"""Mailed tokens of every kind for the operations that take them, read from the mail that a server has written."""

import json
import re
from email import message_from_bytes, policy
from functools import cache
from itertools import chain
from pathlib import Path

from api.docs import RESET_PAGE, UNDO_PAGE, VERIFY_PAGE
from tests.actors import PASSWORD
from tests.processes.servers import Server, eventually

# So many people are there for each use of a token.
PEOPLE = 15
USES = ("describe", "verify", "change", "reset", "undo")
OPERATIONS = {"describe_mailed_token", "verify_email", "reset_password", "undo_email_change"}


def write_tokens(server: Server, folder: Path) -> Path:
    """Write the tokens by operation, each of an account of its own, and return the file. folder: where the server writes mail."""
    describe, verify, change, reset, undo = ([f"{use}-{number}" for number in range(PEOPLE)] for use in USES)
    everybody = [*describe, *verify, *change, *reset, *undo]
    for name in everybody:
        _post(server, "/v1/auth/register", username=name, password=PASSWORD, email=_address(name))
    first = _tokens(folder, VERIFY_PAGE, len(everybody))
    for name in (*change, *reset, *undo):
        _post(server, "/v1/auth/email/verify", token=first[_address(name)])
    for name in reset:
        _post(server, "/v1/auth/password/forgot", email=_address(name))
    for name in (*change, *undo):
        _ask_for_another_address(server, name)
    second = _tokens(folder, VERIFY_PAGE, len(everybody) + len(change) + len(undo))
    resets, undoes = _tokens(folder, RESET_PAGE, len(reset)), _tokens(folder, UNDO_PAGE, len(change) + len(undo))
    # In turn, so that no walk comes upon one kind only.
    verifying = chain.from_iterable((first[_address(a)], second[_new_address(b)]) for a, b in zip(verify, change, strict=True))
    tokens = {
        "describe_mailed_token": [first[_address(name)] for name in describe],
        "verify_email": list(verifying),
        "reset_password": [resets[_address(name)] for name in reset],
        "undo_email_change": [undoes[_address(name)] for name in undo],
    }
    file = folder / "tokens.json"
    file.write_text(json.dumps(tokens))
    return file


def _address(name: str) -> str:
    return f"{name}@example.com"


def _new_address(name: str) -> str:
    return f"{name}@new.example.com"


def _ask_for_another_address(server: Server, name: str) -> None:
    login = server.client.post("/v1/auth/login", json={"username": name, "password": PASSWORD}).raise_for_status()
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    server.client.put("/v1/users/me/email", json={"email": _new_address(name)}, headers=headers).raise_for_status()


def _post(server: Server, path: str, **body: str) -> None:
    server.client.post(path, json=body).raise_for_status()


def _tokens(folder: Path, page: str, count: int) -> dict[str, str]:
    """The tokens of the links to a page, by recipient, once so many mails have them."""
    return eventually(lambda: len(found := _links_to(folder, page)) >= count and found, seconds=60)  # type: ignore[no-any-return]


def _links_to(folder: Path, page: str) -> dict[str, str]:
    return {address: token for address, leads_to, token in map(_read, folder.rglob("*.eml")) if leads_to == page}


@cache
def _read(file: Path) -> tuple[str, str, str]:
    """The recipient of a mail, the page that its link leads to, and the token; once, because a mail is never written anew."""
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = mail.get_body(("plain",))
    link = re.search(r"(/[a-z-]+)#token=([A-Za-z0-9_-]{43})", body.get_content() if body else "")
    return mail["To"].addresses[0].addr_spec, *(link.groups() if link else ("", ""))
