"""`keycard serve`: a process that watches, and those that it starts: one that prepares, one that mails, some that answer.

The first imports everything and opens nothing, neither a file nor a connection. So what it forks is there at once, shares memory
with it, and inherits nothing that two must not have. Where forking is not safe (macOS), processes are spawned.
"""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import click
import granian
from sqlalchemy.engine import make_url

from . import keys, machine, ports
from .accounts.demo import create_demo_accounts, remove_demo_accounts
from .app import create_app
from .config import ConfigurationError, Settings, load_settings, settings
from .observability import logs, metrics
from .signals import hold, obey_first, spare_forks
from .worker import deliver_mail

WORKER_BYTES = 160 * 2**20
logger = logging.getLogger("keycard")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1), help="Processes. [default: one per core, with PostgreSQL and Redis]")
@click.option("--threads", default=32, show_default=True, help="Threads of each process.")
def serve(host: str, port: int, workers: int | None, threads: int) -> None:
    """Serve with the production server. In development the database is migrated first."""
    try:
        chosen = load_settings()
    except ConfigurationError as error:
        raise SystemExit(f"Keycard cannot start:\n{error}") from None
    logs.configure(chosen)
    workers = workers or affordable_workers(chosen)
    hashing = chosen.argon2_concurrency or max(1, machine.cores() // workers)
    waiting = max(0, threads // 2 - hashing) if chosen.argon2_queue is None else chosen.argon2_queue
    os.environ |= {"KEYCARD_ARGON2_CONCURRENCY": str(hashing), "KEYCARD_ARGON2_QUEUE": str(waiting)}
    spare_forks()
    multiprocessing.set_start_method("fork" if sys.platform == "linux" else "spawn", force=True)
    with _reserved(chosen, host, port) as address, metrics.shared_folder(chosen):
        if workers > 1 and not chosen.redis_url:
            click.echo("Without KEYCARD_REDIS_URL every process counts its rate limits alone.", err=True)
        _prepare(address, port)
        server = granian.Granian(
            "api.worker:create_worker",
            address=address,
            port=port,
            interface=granian.constants.Interfaces.WSGI,
            workers=workers,
            blocking_threads=threads,
            factory=True,
            websockets=False,
            workers_kill_timeout=30,
            respawn_failed_workers=True,
            log_dictconfig=logs.granian_config(),
        )
        try:
            _run(server)
        except RuntimeError:  # a stranger has taken the port meanwhile, which Granian tells with fifty frames of its Rust
            ports.check("--port", host, port)
            raise


def _run(server: Any) -> None:
    """Answer requests and deliver mail until a signal comes."""
    ending = threading.Event()
    server.on_startup(partial(obey_first, first=ending.set))  # by then Granian's handlers are there
    hold()
    with _mailing(ending):
        server.serve()


@contextmanager
def _reserved(chosen: Settings, host: str, port: int) -> Iterator[str]:
    """Reserve the port of the API and that of the metrics while the block runs, or end here. Yields the address of the API."""
    if chosen.metrics_port == port:
        raise SystemExit(f"Keycard cannot start:\nKEYCARD_METRICS_PORT: {port} is the port of the API, too")
    try:
        with ExitStack() as taken:
            address = taken.enter_context(ports.reserved("--port", host, port))
            if chosen.metrics_port:
                taken.enter_context(ports.reserved("KEYCARD_METRICS_PORT", chosen.metrics_host, chosen.metrics_port))
            yield address
    except ports.CannotListenError as fault:
        raise SystemExit(f"Keycard cannot start:\n{fault}") from None


def affordable_workers(chosen: Settings) -> int:
    """One per core, if each has room for itself and for its share of the hashes in half of the memory."""
    if not chosen.redis_url or make_url(chosen.database).get_backend_name() == "sqlite":
        return 1
    hashing = machine.cores() * chosen.argon2.memory_cost * 1024
    return max(1, min(machine.cores(), (machine.memory() // 2 - hashing) // WORKER_BYTES))


def _prepare(address: str, port: int) -> None:
    """See to it that there are tables, keys and demo accounts, or none of these; in a process of its own."""
    process = multiprocessing.Process(target=prepare, args=(address, port))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(1)


def prepare(address: str, port: int) -> None:
    """What comes before the first request."""
    with create_app().app_context():
        if settings().production:
            remove_demo_accounts()
            return
        from flask_migrate import upgrade  # it brings Alembic

        upgrade()
        keys.ensure_current()
        if settings().reachable_only_from_here and ip_address(address).is_loopback:
            create_demo_accounts()
        else:
            remove_demo_accounts()  # their password is on the page, which now others can open too
        click.echo(f"Keycard is starting. Documentation: http://{address}:{port}/docs")


@contextmanager
def _mailing(ending: threading.Event) -> Iterator[None]:
    """Deliver mail in a process of its own while the block runs. One that dies has a successor, unless all are to end."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep_mailing, args=(_start_mailing(), over, ending), name="mail")
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _start_mailing() -> multiprocessing.Process:
    process = multiprocessing.Process(target=deliver_mail, name="mail", daemon=True)
    process.start()
    return process


def _keep_mailing(process: multiprocessing.Process, over: threading.Event, ending: threading.Event) -> None:
    while not over.wait(1):
        if not (process.is_alive() or ending.is_set()):
            logger.error("the process that delivers mail has ended (%s); another one begins", process.exitcode)
            with suppress(OSError):  # no memory for one now; asked again in a second
                process = _start_mailing()
    process.terminate()
    process.join()
