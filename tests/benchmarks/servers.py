"""Servers under measurement: started, filled with people, and asked for values to send."""

import base64
import re
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .environments import python_for
from .load import Load, Request, drive
from .processes import Process, free_port
from .stores import Stores
from .targets import CHEAP, REAL, Start, Target

SERVER_CORE, LOAD_CORE = 0, 1
PEOPLE = {CHEAP: 128, REAL: 32}
# More than connections, so that the queue of refresh tokens never runs dry.
TOKENS = 64


@dataclass
class Server:
    """One target with one cost of the hash, running."""

    target: Target
    start: Start
    process: Process
    names: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.start.port}"

    def drive(self, request: Request, values: Sequence[str], seconds: float, **options: object) -> Load:
        """Load this server; see `load.drive`."""
        return drive(request, self.url, values, seconds=seconds, core=LOAD_CORE, folder=self.start.folder, **options)  # type: ignore[arg-type]

    def register_people(self, client: httpx.Client) -> None:
        """Make the people who sign in later."""
        prefix = f"p{uuid.uuid4().hex[:8]}n"
        for number in range(PEOPLE[self.start.argon2]):
            self.expect(client, self.target.requests["register"], f"{prefix}{number}")
            self.names.append(f"{prefix}{number}")

    def expect(self, client: httpx.Client, request: Request, value: str) -> httpx.Response:
        """Send one request and see that it is answered as a good one is."""
        answer = client.request(**request.filled(value))
        if answer.status_code != request.status:
            raise RuntimeError(f"{self.target.name}: {request.method} {request.path}: {answer.status_code} {answer.text[:1000]}")
        return answer

    def mint(self, kind: str, count: int) -> list[str]:
        """Tokens from as many sign-ins. kind: which of the target's tokens."""
        login = self.target.requests["login"]
        taking = Request(login.method, login.path, "names", login.headers, login.body, take=self.target.tokens[kind])
        taken, found = self.start.folder / "taken", list[str]()
        seconds = 1
        while len(found) < count:
            self.drive(taking, self.names, seconds, taken=taken)
            found += taken.read_text().splitlines()
            if not found and seconds > 8:
                raise RuntimeError(f"{self.target.name}: no {kind} token in the answer to a sign-in")
            seconds *= 1 if found else 2
        return found

    def sign_in(self, kind: str) -> str:
        """One token of the first of the people."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            answer = self.expect(client, self.target.requests["login"], self.names[0])
        found = re.search(self.target.tokens[kind], answer.text)
        if not found:
            raise RuntimeError(f"{self.target.name}: no {kind} token in the answer to a sign-in")
        return found[1]

    def values(self, request: Request, count: int) -> list[str]:
        """What to send with a request that is made `count` times."""
        if request.values == "names":
            return self.names or ["nobody"]
        if request.values == "new":
            return [f"n{uuid.uuid4().hex[:12]}x"]
        if request.values == "bad":
            return [forged(token) for token in self.mint("access", TOKENS)[-TOKENS:]]
        if request.mode == "once":
            return self.mint(request.values, count)
        # The last ones belong to different people.
        return self.mint(request.values, TOKENS)[-TOKENS:]


def forged(token: str) -> str:
    """The same token with another signature of the same length."""
    signed, _, signature = token.rpartition(".")
    size = len(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    return f"{signed}.{base64.urlsafe_b64encode(bytes(range(size))).rstrip(b'=').decode()}"


@dataclass(frozen=True)
class House:
    """Where servers live: their stores, their files, and the environments that are kept from run to run."""

    stores: Stores
    folder: Path
    environments: Path
    threads: int

    @contextmanager
    def running(self, targets: Sequence[Target], costs: Sequence[str]) -> Iterator[dict[tuple[str, str], Server]]:
        """Start servers and leave them idle. Their keys: name and cost of the hash."""
        with ExitStack() as stack:
            found: dict[tuple[str, str], Server] = {}
            for target in targets:
                for cost in costs:
                    if cost == CHEAP or target.can("login_real"):
                        found[target.name, cost] = server = self.open(target, cost)
                        stack.callback(server.process.stop)
            yield found

    def open(self, target: Target, argon2: str) -> Server:
        """Start one server on an empty database, and fill it with people."""
        start = self.new_start(target, argon2)
        if target.prepare:
            with (start.folder / "prepared").open("wb") as said:
                subprocess.run(target.prepare(start), env=target.environment(start), cwd=start.folder, stdout=said, check=True)
        server = Server(target, start, self.begin(target, start))
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            try:
                server.process.wait_for(lambda: answers(client))
                if "register" in target.requests:
                    server.register_people(client)
            except BaseException:
                server.process.stop()
                raise
        return server

    def new_start(self, target: Target, argon2: str) -> Start:
        """A free port, an empty folder and empty stores."""
        name = f"{''.join(filter(str.isalnum, target.name)).lower()}_{uuid.uuid4().hex[:8]}"
        folder = self.folder / name
        folder.mkdir()
        database, redis_url = self.stores.new_database(name), self.stores.redis_url(len(list(self.folder.iterdir())))
        python = python_for(target.requirements, self.environments)
        return Start(free_port(), self.threads, database, redis_url, argon2, folder, python)

    def begin(self, target: Target, start: Start) -> Process:
        """Start the process alone."""
        return Process(target.command(start), SERVER_CORE, start.folder / "log", target.environment(start), start.folder)


def answers(client: httpx.Client, path: str = "/") -> bool:
    """Whether anything is answered at all."""
    try:
        client.get(path)
    except httpx.TransportError:
        return False
    return True
