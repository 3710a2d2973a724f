"""`keycard serve`: a process that watches, and those that it starts: one that prepares, one that mails, some that answer.

The first imports everything and opens nothing, neither a file nor a connection. So what it forks is there at once, shares memory
with it, and inherits nothing that two must not have. Where forking is not safe (macOS), processes are spawned.
"""

import logging
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

import click
import granian
from sqlalchemy.engine import make_url

from . import keys, machine
from .accounts.demo import create_demo_accounts, remove_demo_accounts
from .app import create_app
from .config import ConfigurationError, Settings, load_settings, settings
from .observability import logs, metrics
from .signals import spare_forks, wake_for_signals
from .worker import deliver_mail

WORKER_BYTES = 160 * 2**20
logger = logging.getLogger("keycard")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1), help="Processes. [default: one per core, with PostgreSQL and Redis]")
@click.option("--threads", default=32, show_default=True, help="Threads of each process.")
def serve(host: str, port: int, workers: int | None, threads: int) -> None:
    """Serve with the production server. In development the database is migrated first."""
    try:
        chosen = load_settings()
    except ConfigurationError as error:
        raise SystemExit(f"Keycard cannot start:\n{error}") from None
    _refuse_metrics_port(chosen, port)
    logs.configure(chosen)
    workers = workers or affordable_workers(chosen)
    if workers > 1 and not chosen.redis_url:
        click.echo("Without KEYCARD_REDIS_URL every process counts its rate limits alone.", err=True)
    hashing = chosen.argon2_concurrency or max(1, machine.cores() // workers)
    waiting = max(0, threads // 2 - hashing) if chosen.argon2_queue is None else chosen.argon2_queue
    os.environ |= {"KEYCARD_ARGON2_CONCURRENCY": str(hashing), "KEYCARD_ARGON2_QUEUE": str(waiting)}
    spare_forks()
    multiprocessing.set_start_method("fork" if sys.platform == "linux" else "spawn", force=True)
    with metrics.shared_folder(chosen):
        _prepare(host, port)
        server = granian.Granian(
            "api.worker:create_worker",
            address=host,
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
        with _mailing():
            wake_for_signals()
            server.serve()


def _refuse_metrics_port(chosen: Settings, port: int) -> None:
    """End here if nobody can listen on the port of the metrics, say because it is in use. port: that of the API."""
    if chosen.metrics_port is None:
        return
    same = f"{port} is the port of the API, too" if chosen.metrics_port == port else None
    fault = same or listening_fault(chosen.metrics_host, chosen.metrics_port)
    if fault:
        raise SystemExit(f"Keycard cannot start:\nKEYCARD_METRICS_PORT: {fault}")


def listening_fault(host: str, port: int) -> str | None:
    """Say why nobody can listen there; None if one can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the server before may still be closing
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"cannot listen on {host} port {port}: {error.strerror}"
    return None


def affordable_workers(chosen: Settings) -> int:
    """One per core, if each has room for itself and for its share of the hashes in half of the memory."""
    if not chosen.redis_url or make_url(chosen.database).get_backend_name() == "sqlite":
        return 1
    hashing = machine.cores() * chosen.argon2.memory_cost * 1024
    return max(1, min(machine.cores(), (machine.memory() // 2 - hashing) // WORKER_BYTES))


def _prepare(host: str, port: int) -> None:
    """See to it that there are tables, keys and demo accounts, or none of these; in a process of its own."""
    process = multiprocessing.Process(target=prepare, args=(host, port))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(1)


def prepare(host: str, port: int) -> None:
    """What comes before the first request."""
    with create_app().app_context():
        if settings().production:
            remove_demo_accounts()
            return
        from flask_migrate import upgrade  # it brings Alembic

        upgrade()
        keys.ensure_current()
        if settings().reachable_only_from_here and (host == "localhost" or ip_address(host).is_loopback):
            create_demo_accounts()
        else:
            remove_demo_accounts()  # their password is on the page, which now others can open too
        click.echo(f"Keycard is starting. Documentation: http://{host}:{port}/docs")


@contextmanager
def _mailing() -> Iterator[None]:
    """Deliver mail in a process of its own while the block runs. One that dies has a successor."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep_mailing, args=(_start_mailing(), over), name="mail")
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


def _keep_mailing(process: multiprocessing.Process, over: threading.Event) -> None:
    while not over.wait(1):
        if not process.is_alive():
            logger.error("the process that delivers mail has ended (%s); another one begins", process.exitcode)
            with suppress(OSError):  # no memory for one now; asked again in a second
                process = _start_mailing()
    process.terminate()
    process.join()
