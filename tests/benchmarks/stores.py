"""A PostgreSQL and a Redis of our own, with their defaults, on the core of the load generator; gone afterwards."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .processes import Process, free_port


class MissingError(Exception):
    """Something is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Stores:
    """Where the targets keep their data: each in a database of its own."""

    postgresql_port: int
    redis_port: int
    postgresql: Process

    def new_database(self, name: str) -> str:
        """Make an empty database, and return its URL without the driver: `//user@host/name`."""
        address = f"//postgres@127.0.0.1:{self.postgresql_port}"
        with psycopg.connect(f"postgresql:{address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{address}/{name}"

    def redis_url(self, database: int) -> str:
        return f"redis://127.0.0.1:{self.redis_port}/{database}"


def program(name: str, package: str) -> str:
    """The path of a program. Debian keeps PostgreSQL's servers out of PATH."""
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name) or (str(known[-1]) if known else None)
    if not found:
        raise MissingError(f"{name} is missing; install it with: apt-get install {package}")
    return found


@contextmanager
def running(folder: Path, core: int) -> Iterator[Stores]:
    """Start both, and stop them in the end. folder: empty; PostgreSQL's files go there."""
    initdb, postgres = program("initdb", "postgresql"), program("postgres", "postgresql")
    redis = program("redis-server", "redis-server")
    port, redis_port = free_port(), free_port()
    data = folder / "postgresql"
    data.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(data, "postgres")
        as_user = [program("setpriv", "util-linux"), "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env"]
    make = [*as_user, initdb, "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
    subprocess.run(make, check=True, cwd="/", stdout=subprocess.DEVNULL)
    environment = {"PATH": os.environ["PATH"]}
    options = ["-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "max_connections=300"]
    quiet = ["--bind", "127.0.0.1", "--port", str(redis_port), "--databases", "64", "--save", "", "--appendonly", "no"]
    started: list[Process] = []
    try:
        started.append(Process([*as_user, postgres, *options], core, folder / "postgresql.log", environment, Path("/")))
        started.append(Process([redis, *quiet], core, folder / "redis.log", environment, folder))
        started[0].wait_for(lambda: _accepts(port))
        started[1].wait_for(lambda: _listens(redis_port))
        yield Stores(port, redis_port, started[0])
    finally:
        for process in started:
            process.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _accepts(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True
