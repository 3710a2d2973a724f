"""The once table: everything that may be used once, used twelve times at the same moment.

python -m tests.once                     twenty rounds on SQLite and PostgreSQL: the table of docs/security.md
python -m tests.once --rounds 3 --store sqlite

Two servers work on the same stores, and half of the uses go to each. Exits with 1 unless every round has exactly one success.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache, partial
from pathlib import Path
from typing import Any

from api.accounts.models import CHANGE_EMAIL, RESET_PASSWORD, UNDO_EMAIL, VERIFY_EMAIL
from tests.conftest import REDIS, Stores, postgresql_databases
from tests.mailbox import new_address, token_in
from tests.processes.servers import Server, Visitor, eventually, keycard, simultaneously

USES, ROUNDS = 12, 20
STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
ME, EMAIL, VERIFY, UNDO = "/v1/users/me", "/v1/users/me/email", "/v1/auth/email/verify", "/v1/auth/email/undo"
FORGOT, RESET = "/v1/auth/password/forgot", "/v1/auth/password/reset"
NEW = "Battery-Staple-8"
# Use the thing at a server, and return the answer.
Use = Callable[[Server], Any]


@dataclass
class Scene:
    """Two servers on the same stores, and the folder into which they write their mail."""

    servers: tuple[Server, Server]
    outbox: Path
    admin: Visitor

    def token(self, address: str, number: int = 1) -> str:
        """The token of so many-th mail to an address."""
        return token_in(eventually(lambda: self._letters(address)[number - 1 :], 60)[0])

    def _letters(self, address: str) -> list[EmailMessage]:
        files = sorted(self.outbox.glob("*.eml"), key=lambda each: each.stat().st_mtime_ns)
        return [letter for letter in map(_letter, files) if letter["To"] == address]

    def person(self, **more: Any) -> Visitor:
        return Visitor(self.servers[0]).join(**more)

    def verified(self) -> tuple[Visitor, str]:
        """Somebody who is signed in, and the address that they have verified."""
        address = new_address()
        person = self.person(email=address)
        assert person.request("POST", VERIFY, json={"token": self.token(address)}).status_code == 204
        return person, address


@cache
def _letter(file: Path) -> EmailMessage:
    read: EmailMessage = message_from_bytes(file.read_bytes(), policy=policy.SMTP)  # type: ignore[assignment]
    return read


def refresh_token(scene: Scene) -> Use:
    person = scene.person()
    return lambda server: person.at(server).refresh()


def verification(scene: Scene) -> Use:
    address = new_address()
    person = scene.person(email=address)
    return _spend(person, VERIFY, token=scene.token(address))


def change_of_address(scene: Scene) -> Use:
    """By the session that asked for it."""
    person, _ = scene.verified()
    address = new_address()
    assert person.put(EMAIL, json={"email": address}).status_code == 202
    return _spend(person, VERIFY, token=scene.token(address))


def undoing(scene: Scene) -> Use:
    person, address = scene.verified()
    assert person.put(EMAIL, json={"email": new_address()}).status_code == 202
    return _spend(person, UNDO, public=True, token=scene.token(address, 2))


def reset(scene: Scene) -> Use:
    person, address = scene.verified()
    assert person.request("POST", FORGOT, json={"email": address}).status_code == 202
    return _spend(person, RESET, public=True, token=scene.token(address, 2), new_password=NEW)


def renewal(scene: Scene) -> Use:
    """The tokens of before are dead after the first."""
    person = scene.person()
    return _spend(person, "/v1/auth/reauthenticate", password=person.password)


def _spend(person: Visitor, path: str, *, public: bool = False, **body: str) -> Use:
    token = None if public else person.access_token
    return lambda server: person.at(server).request("POST", path, token=token, json=body)


def password_change(scene: Scene) -> Use:
    person = scene.person()
    body = {"current_password": person.password, "new_password": NEW}
    return lambda server: person.at(server).put(f"{ME}/password", json=body)


def version(scene: Scene) -> Use:
    path = f"/v1/admin/users/{scene.person().id}"
    etag = scene.admin.get(path).headers["ETag"]
    return lambda server: scene.admin.at(server).patch(path, json={"display_name": "Ada"}, headers={"If-Match": etag})


def username(scene: Scene) -> Use:
    name = Visitor(scene.servers[0]).name
    return lambda server: Visitor(server, name).register()


THINGS: dict[str, Callable[[Scene], Use]] = {
    "refresh token, without a grace window": refresh_token,
    f"mailed token `{VERIFY_EMAIL}`": verification,
    f"mailed token `{CHANGE_EMAIL}`": change_of_address,
    f"mailed token `{RESET_PASSWORD}`": reset,
    f"mailed token `{UNDO_EMAIL}`": undoing,
    "tokens of a session, in `reauthenticate`": renewal,
    "current password, in `change_password`": password_change,
    "version of an account, in `update_user`": version,
    "username, in `register`": username,
}


def successes(scene: Scene, thing: str, rounds: int) -> list[int]:
    """How many of the simultaneous uses succeeded, in each round. A refusal is an answer of its own, never a 5xx."""
    with ThreadPoolExecutor(8) as pool:
        uses = list(pool.map(lambda _: THINGS[thing](scene), range(rounds)))
    return [_succeeded(use, scene.servers) for use in uses]


def _succeeded(use: Use, servers: tuple[Server, Server]) -> int:
    answers = simultaneously(*(partial(use, server) for server in servers * (USES // 2)))
    statuses = [answer.status_code for answer in answers]
    assert max(statuses) < 500, statuses
    return sum(status < 300 for status in statuses)


def cell(counts: list[int]) -> str:
    """What the table says of the rounds."""
    return f"1 of {USES}, {counts.count(1)} of {len(counts)} rounds"


def table(found: Mapping[str, Mapping[str, list[int]]]) -> str:
    """The results as Markdown: by thing, and by store."""
    stores = list(next(iter(found.values())))
    rows = [[thing, *(cell(counts[store]) for store in stores)] for thing, counts in found.items()]
    head = ["used twelve times at once", *(STORES[each] for each in stores)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


@contextmanager
def scene_on(stores: Stores, folder: Path) -> Iterator[Scene]:
    """Start the two servers, as in development: their mail is written into a folder."""
    environment = stores.environment(folder, refresh_grace=0)
    servers = Server(environment, "--threads", "16"), Server(environment, "--threads", "16")
    try:
        for server in servers:
            server.wait()
        admin = Visitor(servers[0])
        keycard(environment, "users", "create", admin.name, "--password", admin.password, "--admin")
        assert admin.login().status_code == 200
        yield Scene(servers, folder / "outbox", admin)
    finally:
        for server in servers:
            server.stop()


def main() -> int:
    """Print the table; return 0 if everything was used once."""
    options = _options()
    found: dict[str, dict[str, list[int]]] = {thing: {} for thing in THINGS}
    for store in options.store:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keycard-once-")))
            scene = stack.enter_context(scene_on(_stores(store, folder, stack), folder))
            for thing in THINGS:
                found[thing][store] = successes(scene, thing, options.rounds)
    sys.stdout.write(f"{table(found)}\n")
    counts = [count for by_store in found.values() for each in by_store.values() for count in each]
    return 0 if set(counts) == {1} else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--store", action="append", choices=STORES)
    options = parser.parse_args()
    options.store = options.store or list(STORES)
    return options


def _stores(store: str, folder: Path, stack: ExitStack) -> Stores:
    if store == "sqlite":
        return Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None)
    return Stores("postgresql", stack.enter_context(postgresql_databases())(), REDIS)


if __name__ == "__main__":
    sys.exit(main())
