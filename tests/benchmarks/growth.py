"""The same operations with a thousand people and with millions: what a request costs must not grow with the tables.

One PostgreSQL; for each size a database that was filled in bulk, and a Keycard of its own. Rounds are interleaved as in `rounds`.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg

from .filling import ADMINS, GROWING, fill, names
from .load import Request
from .report import markdown
from .rounds import GUESS, RESERVE, SETTLE_SECONDS, spread
from .servers import House, Server, forged
from .stores import Stores
from .targets import BEARER, CHEAP, KEYCARD, Start, keycard_environment

SIZES = (1_000, 100_000, 5_000_000)
PROMISED = 1.3
# So many different people sign in, and so many different tokens are sent, that caches do not hide the table.
NAMES, TOKENS = 20_000, 2_000
# Longer than all rounds, so that the tokens of reads are made once.
ACCESS_LIFETIME = 86_400
# CPU that a server uses in SETTLE_SECONDS when it has nothing to do, and some more.
IDLE_SECONDS = 0.02
# A page is equally long in every database: who has signed in often must not have longer ones.
READS = {
    "list_sessions": Request("GET", "/v1/users/me/sessions?limit=1", "access", BEARER),
    "list_my_events": Request("GET", "/v1/users/me/events?limit=1", "access", BEARER),
    "list_users": Request("GET", "/v1/admin/users", "admin", BEARER),
    "list_users, q": Request("GET", "/v1/admin/users?q=VALUE", "q", {"Authorization": "Bearer ADMIN"}),
    "get_user": Request("GET", "/v1/admin/users/VALUE", "ids", {"Authorization": "Bearer ADMIN"}),
    "list_events": Request("GET", "/v1/admin/events", "admin", BEARER),
}
OPERATIONS = ("get_me", "bad_token", "login", "refresh", "register", "logout", *READS)
Tell = Callable[[str], None]


def _environment(start: Start) -> dict[str, str]:
    return {**keycard_environment(start), "KEYCARD_ACCESS_TOKEN_LIFETIME": str(ACCESS_LIFETIME)}


GROWN = replace(KEYCARD, environment=_environment, requests={**KEYCARD.requests, **READS})


@dataclass
class Sized:
    """A Keycard with so many people. kept: values that are made once."""

    people: int
    server: Server
    kept: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"postgresql:{self.server.start.database}"

    def fill(self, tell: Tell) -> None:
        """Make the people, with the password of one that the API has made; then know some of them by name."""
        started = time.monotonic()
        with psycopg.connect(self.url) as connection:
            known = connection.execute("SELECT password_hash FROM users WHERE username = %s", [self.server.names[0]]).fetchone()
        assert known
        fill(self.url, self.people, known[0])
        self.server.names[:] = names(self.people, NAMES)
        tell(f"{self.people} people in {time.monotonic() - started:.0f} s")

    def prepare(self) -> None:
        """Make what is sent again and again."""
        self.kept["access"] = self.server.mint("access", TOKENS)[-TOKENS:]
        self.kept["bad"] = [forged(token) for token in self.kept["access"]]
        with httpx.Client(base_url=self.server.url, timeout=60, trust_env=False) as client:
            login = self.server.target.requests["login"]
            answers = [self.server.expect(client, login, f"person{number}") for number in range(1, ADMINS + 1)]
        self.kept["admin"] = [answer.json()["access_token"] for answer in answers]
        self.kept["q"] = self.server.names[:TOKENS]
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT id FROM users WHERE username_key = ANY (%s)", [self.server.names[:TOKENS]])
            self.kept["ids"] = [str(row[0]) for row in found]

    def request(self, operation: str) -> Request:
        found = self.server.target.requests[operation]
        headers = {name: value.replace("ADMIN", self.kept["admin"][0]) for name, value in found.headers.items()}
        return replace(found, headers=headers)

    def values(self, request: Request, count: int) -> Sequence[str]:
        if request.mode == "queue":
            return self.server.mint(request.values, TOKENS)[-TOKENS:]
        if request.mode == "once" or request.values in {"names", "new"}:
            return self.server.values(request, count)
        return self.kept[request.values]

    def read_whole(self) -> dict[str, int]:
        """How often each of the tables that grow has been read from one end to the other."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY (%s)", [list(GROWING)]
            )
            return {name: int(count) for name, count in rows}

    def bytes_per_row(self) -> dict[str, dict[str, float]]:
        """Of each table: rows, bytes of a row in the table, and bytes of a row with all its indexes."""
        with psycopg.connect(self.url) as connection:
            counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in GROWING}
            sizes = "SELECT pg_relation_size(%s::regclass), pg_total_relation_size(%s::regclass)"
            found = {name: connection.execute(sizes, [name, name]).fetchone() for name in GROWING}
        return {
            name: {
                "rows": rows,
                "table": round(found[name][0] / max(rows, 1)),
                "with_indexes": round(found[name][1] / max(rows, 1)),
            }  # type: ignore[index]
            for name, (rows,) in counts.items()  # type: ignore[misc]
        }


@dataclass(frozen=True)
class Cost:
    """One run: answers per second, and CPU µs per answer of Keycard and of PostgreSQL."""

    per_second: float
    keycard_us: float
    postgresql_us: float

    @property
    def both_us(self) -> float:
        return self.keycard_us + self.postgresql_us


def measure(house: House, sizes: Sequence[int], rounds: int, seconds: int, tell: Tell) -> dict[str, Any]:
    """Fill, measure, and compare. Returns what `table` shows."""
    with ExitStack() as stack:
        sized: list[Sized] = []
        for people in sorted(sizes):
            server = house.open(GROWN, CHEAP)
            stack.callback(server.process.stop)
            sized.append(Sized(people, server))
            sized[-1].fill(tell)
        bytes_per_row = sized[-1].bytes_per_row()
        for each in sized:
            each.prepare()
        _rest(house.stores)
        before = {each.people: each.read_whole() for each in sized}
        run = _Run(house.stores, seconds, tell)
        for number in range(rounds + 1):
            for operation in OPERATIONS:
                shift = number % len(sized)
                for each in sized[shift:] + sized[:shift]:
                    run.measure(each, operation, counts=number > 0)
        time.sleep(2)  # until the idle backends have reported their counters
        read_whole = {
            each.people: {name: count - before[each.people][name] for name, count in each.read_whole().items()} for each in sized
        }
    return {"sizes": sorted(sizes), "operations": run.summary(), "read_whole": read_whole, "bytes_per_row": bytes_per_row}


def _settle(server: Server) -> None:
    """Wait until the server has worked off what is left of the load before, which is more where others slow it down."""
    before = -1.0
    while server.process.cpu_seconds() > before + IDLE_SECONDS:
        before = server.process.cpu_seconds()
        time.sleep(SETTLE_SECONDS)


def _rest(stores: Stores) -> None:
    """What filling has left to write is written; then every page is written whole into the log at its first change, as ever."""
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{stores.postgresql_port}/postgres", autocommit=True) as connection:
        connection.execute("CHECKPOINT")


@dataclass
class _Run:
    stores: Stores
    seconds: float
    tell: Tell
    costs: dict[tuple[str, int], list[Cost]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _fastest: dict[str, float] = field(default_factory=dict)

    def measure(self, each: Sized, operation: str, *, counts: bool) -> None:
        request = each.request(operation)
        values = each.values(request, int(self._fastest.get(operation, GUESS) * self.seconds * RESERVE))
        _settle(each.server)
        before = (each.server.process.cpu_seconds(), self.stores.postgresql.cpu_seconds())
        load = each.server.drive(request, values, self.seconds)
        _settle(each.server)
        after = (each.server.process.cpu_seconds(), self.stores.postgresql.cpu_seconds())
        ours, theirs = ((late - early) / max(load.requests, 1) * 1e6 for early, late in zip(before, after, strict=True))
        faults = load.faults(refusal_expected=request.status >= 400)
        self._fastest[operation] = max(self._fastest.get(operation, 1.0), load.per_second)
        told = f"{load.per_second:8.0f}/s  keycard {ours:6.0f} µs  postgresql {theirs:6.0f} µs  {' '.join(faults)}"
        self.tell(f"{operation:14} {each.people:9} {told}")
        if faults:
            self.faults[f"{operation}, {each.people}"] += faults
        elif counts:
            self.costs[operation, each.people].append(Cost(load.per_second, ours, theirs))

    def summary(self) -> dict[str, Any]:
        """By operation and size: medians and quartiles."""
        found: dict[str, Any] = defaultdict(dict)
        for (operation, people), costs in self.costs.items():
            figures = ("per_second", "keycard_us", "postgresql_us", "both_us")
            told = {name: spread([getattr(cost, name) for cost in costs]) for name in figures}
            found[operation][people] = {"runs": len(costs), "faults": self.faults[f"{operation}, {people}"], **told}
        return dict(found)


def ratios(results: dict[str, Any]) -> dict[str, float]:
    """By operation: the cost in the largest database, times that in the smallest."""
    smallest, largest = results["sizes"][0], results["sizes"][-1]
    return {
        operation: round(found[largest]["both_us"]["median"] / found[smallest]["both_us"]["median"], 3)
        for operation, found in results["operations"].items()
        if smallest in found and largest in found
    }


def table(results: dict[str, Any]) -> str:
    """All figures as Markdown."""
    header = ["operation", "people", "answers/s", "Keycard, CPU µs", "PostgreSQL, CPU µs", "both", "quartiles", "runs"]
    rows = [
        _row(operation, people, found[people]) for operation, found in results["operations"].items() for people in sorted(found)
    ]
    judged = [
        [name, f"{ratio:.2f}", f"≤ {PROMISED}", "holds" if ratio <= PROMISED else "**missed**"]
        for name, ratio in ratios(results).items()
    ]
    whole = [[str(people), *(str(counts[name]) for name in GROWING)] for people, counts in results["read_whole"].items()]
    bytes_ = [[name, *(f"{figure:.0f}" for figure in found.values())] for name, found in results["bytes_per_row"].items()]
    parts = [
        "# Growth",
        markdown(header, rows),
        f"## Both costs with {results['sizes'][-1]} people, times those with {results['sizes'][0]}",
        markdown(["operation", "measured", "promised", ""], judged),
        "## How often each table was read whole during the rounds",
        markdown(["people", *GROWING], whole),
        f"## Bytes per row with {results['sizes'][-1]} people",
        markdown(["table", "rows", "in the table", "with its indexes"], bytes_),
    ]
    return "\n\n".join(parts) + "\n"


def _row(operation: str, people: int, found: dict[str, Any]) -> list[str]:
    medians = [f"{found[name]['median']:.0f}" for name in ("per_second", "keycard_us", "postgresql_us", "both_us")]
    return [operation, str(people), *medians, f"{found['both_us']['q1']:.0f} to {found['both_us']['q3']:.0f}", str(found["runs"])]


def write(results: dict[str, Any], folder: Path) -> str:
    """Write growth.json and growth.md; return the table."""
    text = table(results)
    (folder / "growth.json").write_text(json.dumps({**results, "ratios": ratios(results)}, indent=1) + "\n")
    facts = "\n".join(f"- {name}: {value}" for name, value in results["facts"].items())
    (folder / "growth.md").write_text(f"{text}\n## This run\n\n{facts}\n")
    return text
