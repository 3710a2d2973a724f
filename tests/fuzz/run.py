"""Fuzz real servers with schemathesis: every identity, every store, a fresh database for each run, then the depth gate.

python -m tests.fuzz.run                 CI: a fixed seed and a few thousand cases for each store
python -m tests.fuzz.run --long          more cases, and a random seed that is printed
python -m tests.fuzz.run --seed 7 --store sqlite --identity admin

Which links the stateful phase takes is chance. Those that nobody took get rounds of their own: walks among the operations around
them, until each was taken or the rounds are used up, which the gate reports.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import redis
from sqlalchemy.engine import make_url

from tests.actors import PASSWORD
from tests.conftest import IN_CI, POSTGRESQL, REDIS, Stores
from tests.fuzz.gate import Run, around, faults, untaken
from tests.fuzz.mailed import OPERATIONS, write_tokens
from tests.processes.servers import Server, keycard

HERE = Path(__file__).parent
IDENTITIES = ("anonymous", "user", "peers", "admin", "cookie")
STORES = ("sqlite", "postgresql")
# Not the password of the examples: with that one, the example of change_password would lock both out.
PEERS_PASSWORD = "Not-In-The-Examples-9"
CI_SEED = 20_261_122
SECONDS = 3000
PHASES = "examples,coverage,fuzzing,stateful"
# Rounds are about few operations, so they get more walks: chance finds the last link in one round instead of six.
ROUNDS, WALKS = 6, "24"


def main() -> int:
    """Run what was asked for; return 0 if nothing was found."""
    options = _options()
    seed = options.seed or (secrets.randbelow(2**31) if options.long else CI_SEED)
    print(f"seed {seed}")
    stores = [store for store in options.store if _answers(store)]
    with ThreadPoolExecutor() as pool:  # one store each: their runs are about as long, and each keeps a core busy
        results = list(pool.map(lambda store: fuzz(store, options.identity, seed, long=options.long), stores))
    cases = sum(found for found, _ in results)
    wrong = [fault for _, found in results for fault in found]
    print("\n".join(wrong))
    print(f"seed {seed}: {cases} cases, {len(wrong)} faults")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--identity", action="append", choices=IDENTITIES)
    options = parser.parse_args()
    options.store = options.store or list(STORES)
    options.identity = options.identity or list(IDENTITIES)
    return options


def fuzz(store: str, identities: list[str], seed: int, *, long: bool) -> tuple[int, list[str]]:
    """Run every identity against servers on one kind of store; return the number of cases and the faults."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        runs = [_run(store, identity, seed, root / identity, long=long) for identity in identities]
        document = json.loads((root / identities[0] / "openapi.json").read_text())
        every_link = set(identities) == set(IDENTITIES)
        for attempt in range(ROUNDS if every_link else 0):
            if missing := untaken(document, runs):
                print(f"{store}: {len(missing)} links that nobody took, {missing[0]} among them")
                runs.append(_run(store, "admin", seed + attempt, root / f"round-{attempt}", only=around(document, missing)))
        cases = sum(run.summary()["test_cases"]["generated"] for run in runs)
        found = faults(document, runs) + [
            f"link never taken with a 2xx: {link}" for link in untaken(document, runs) if every_link
        ]
        return cases, [f"{store}: {fault}" for fault in found]


def _run(store: str, identity: str, seed: int, folder: Path, *, long: bool = False, only: tuple[str, ...] = ()) -> Run:
    """One run against a server of its own on an empty database; with `only`, a walk among these operations."""
    folder.mkdir()
    run = Run(identity, folder, complete=not only)
    database = f"keycard_fuzz_{secrets.token_hex(6)}"
    stores = _stores(store, database, folder)
    server = Server(stores.environment(folder), "--threads", "4")
    try:
        server.wait()
        (folder / "openapi.json").write_text(server.client.get("/openapi.json").text)
        began = time.monotonic()
        phases, examples = ("stateful", WALKS) if only else (PHASES, "150" if long else "8")
        options = ["--phases", phases, "--max-examples", examples, "--seed", str(seed)]
        options += [f"--include-operation-id={name}" for name in only]
        mail = not only or bool(OPERATIONS.intersection(only))
        done = _schemathesis(server, identity, folder, *options, mail=mail)
        seconds = time.monotonic() - began
        print(f"{store} {identity}: {run.summary()['test_cases']['generated']} cases in {seconds:.0f} s, exit {done.returncode}")
        if done.returncode:
            print(done.stdout)
    finally:
        server.stop()
        if store == "postgresql":
            _postgresql(f"DROP DATABASE {database} WITH (FORCE)")
    return run


def _stores(store: str, database: str, folder: Path) -> Stores:
    if store == "sqlite":
        return Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None)
    _postgresql(f"CREATE DATABASE {database}")
    url = make_url(POSTGRESQL).set(database=database).render_as_string(hide_password=False)
    return Stores("postgresql", url, REDIS)


def _answers(store: str) -> bool:
    """Say whether the store can be used; in CI it must."""
    try:
        if store == "postgresql":
            _postgresql("SELECT 1")
            redis.Redis.from_url(REDIS).ping()
    except (psycopg.OperationalError, redis.RedisError) as error:
        if IN_CI:
            raise
        print(f"SKIPPED: {store}: PostgreSQL and Redis do not both answer ({type(error).__name__})")
        return False
    return True


def _postgresql(statement: str) -> None:
    with psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement.encode())


def _schemathesis(server: Server, identity: str, folder: Path, *options: str, mail: bool) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KEYCARD_FUZZ_IDENTITY": identity}
    config = HERE / "schemathesis.toml"
    if identity == "peers":
        config = HERE / "peers.toml"
        environment["KEYCARD_FUZZ_PEERS"] = str(_write_peers(server, folder))
    else:
        keycard(server.environment, "users", "create", "root", "--password", PASSWORD, "--admin")
        environment |= {"KEYCARD_FUZZ_ADMIN": f"root:{PASSWORD}", "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    if identity != "peers" and mail:
        environment["KEYCARD_FUZZ_TOKENS"] = str(write_tokens(server, folder))
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", f"{server.base_url}/openapi.json",
        "--url", server.base_url, "--checks", "all", *options, "--report", "json,ndjson", "--report-dir", folder, "--no-color",
    ]  # fmt: skip
    return subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _write_peers(server: Server, folder: Path) -> Path:
    """Two people, in the format of Web Fuzzing Commons."""
    entries = []
    for name in ("ana", "ben"):
        account = {"username": name, "password": PEERS_PASSWORD}
        server.client.post("/v1/auth/register", json=account).raise_for_status()
        login = {
            "endpoint": "/v1/auth/login",
            "verb": "POST",
            "contentType": "application/json",
            "payloadRaw": json.dumps(account),
            "token": {
                "extractFrom": "body",
                "extractSelector": "/access_token",
                "sendIn": "header",
                "sendName": "Authorization",
                "sendTemplate": "Bearer {token}",
            },
        }
        entries.append({"name": name, "loginEndpointAuth": login})
    server.client.post("/v1/auth/register", json={"username": "ada", "password": PASSWORD})
    file = folder / "peers.json"
    file.write_text(json.dumps({"auth": entries}))
    return file


if __name__ == "__main__":
    sys.exit(main())
