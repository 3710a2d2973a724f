"""A port has one server. Who comes second, or at the same moment, is refused in one sentence, and the start says nothing else."""

import multiprocessing
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Stores
from tests.processes.servers import KEYCARD, START_SECONDS, STOP_SECONDS, Server, eventually, free_port
from tests.test_readme import serving


def refusal(port: int, host: str = "127.0.0.1") -> str:
    return f"Keycard cannot start:\n--port: cannot listen on {host} port {port}: Address already in use\n"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Somebody who listens, and shares with nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def refused(stores: Stores, folder: Path, *command: str) -> str:
    """What a command says that ends with 1."""
    done = subprocess.run(
        [KEYCARD, *command], env=stores.environment(folder), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.parametrize("command", ["serve", "run"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - what is tested
def test_a_port_of_a_stranger_is_refused(
    stores: Stores, tmp_path: Path, stranger: socket.socket, command: str, host: str
) -> None:
    port = stranger.getsockname()[1]
    assert refused(stores, tmp_path, command, "--host", host, "--port", str(port)) == refusal(port, host)


@pytest.mark.parametrize("command", ["serve", "run"])
def test_a_port_of_another_server_is_refused(stores: Stores, tmp_path: Path, start: Callable[..., Server], command: str) -> None:
    server = start(stores).wait()
    (tmp_path / "second").mkdir()
    assert refused(stores, tmp_path / "second", command, "--port", str(server.port)) == refusal(server.port)
    assert server.status() == 200


def test_of_servers_that_start_at_the_same_moment_one_does(stores: Stores, start: Callable[..., Server]) -> None:
    """Before any of them listens: they would share the port without a word."""
    servers = [start(stores) for _ in range(4)]
    for server in servers:
        server.kill()
        server.port = servers[0].port
    for server in servers:
        server.start_again()
    eventually(lambda: _running(servers) < 4 and servers[0].status() == 200, START_SECONDS)
    eventually(lambda: _running(servers) == 1)
    assert sorted(str(server.process.poll()) for server in servers) == ["1", "1", "1", "None"]
    assert sum(refusal(servers[0].port) in server.log for server in servers) == 3


def _running(servers: list[Server]) -> int:
    return sum(server.process.poll() is None for server in servers)


def test_a_stranger_who_comes_in_between_is_refused_in_a_sentence_too(stores: Stores, start: Callable[..., Server]) -> None:
    """After Keycard has looked, and before Granian listens, which it would tell with the frames of its Rust."""
    server = start(stores)
    eventually(lambda: _is_reserved(server.port))
    with socket.create_server(("127.0.0.1", server.port)):
        assert server.process.wait(START_SECONDS) == 1
    assert server.log.endswith(refusal(server.port))
    assert "Traceback" not in server.log


def _is_reserved(port: int) -> bool:
    with socket.socket(socket.AF_UNIX) as name:
        try:
            name.bind(f"\0keycard 127.0.0.1 {port}")
        except OSError:
            return True
    return False


def test_a_server_can_be_started_again_at_once(stores: Stores, start: Callable[..., Server]) -> None:
    """With connections that are still closing, and a name that is free again."""
    server = start(stores).wait()
    with socket.create_connection(("127.0.0.1", server.port)):
        server.terminate()
        assert server.process.wait(STOP_SECONDS) == 0
        server.start_again().wait()
    assert "cannot listen" not in server.log


def test_a_name_will_do_for_an_address(stores: Stores, start: Callable[..., Server]) -> None:
    assert "Listening at: http://127.0.0.1" in start(stores, "--host", "localhost").wait().log


def test_run_reloads_on_the_port_that_it_has(stores: Stores, tmp_path: Path) -> None:
    """The process that answers is the second one, and the first has reserved the port."""
    port = free_port()
    environment = stores.environment(tmp_path)
    subprocess.run([KEYCARD, "db", "upgrade"], env=environment, cwd=tmp_path, check=True, timeout=START_SECONDS)
    with serving([str(KEYCARD), "run", "--reload", "--port", str(port)], port, tmp_path, **environment):
        assert "cannot listen" not in (tmp_path / "log").read_text()


def test_the_start_prints_no_warning(stores: Stores, start: Callable[..., Server]) -> None:
    """Granian's advice on threads and processes is none of the operator's business."""
    server = start(stores, "--threads", "64", "--workers", str(2 * multiprocessing.cpu_count())).wait()
    assert "warning" not in server.log
    assert "CPU" not in server.log
