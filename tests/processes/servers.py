"""Real processes to test against: Keycard servers and a Redis of one's own, and threads that start at the same moment."""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
import redis
from werkzeug.wrappers import Response

from api.health.listener import CONTENT_TYPE
from tests.actors import PASSWORD, Bearer, new_name

KEYCARD = Path(sys.executable).parent / "keycard"
# Made once, because making it takes longer than a request; nothing here speaks TLS.
TLS = ssl.create_default_context()
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def simultaneously(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start at the same moment; return what they return, in their order."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(run, call) for call in calls]]


def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Ask until the answer is true, and return it; fail when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.05)
    return answer


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def keycard(environment: Mapping[str, str], *arguments: str) -> str:
    """Run one command to its end and return what it printed, errors included."""
    done = subprocess.run(
        [KEYCARD, *arguments], env=dict(environment), cwd=environment["HOME"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


class Server:
    """`keycard serve` as a process of its own, from construction to `stop`. One worker, unless the options say more."""

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        self.environment = dict(environment)
        port = free_port()
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(
            base_url=self.base_url, timeout=30, trust_env=False, verify=TLS, limits=httpx.Limits(max_connections=None)
        )
        self._log = Path(environment["HOME"]) / f"server-{port}.log"
        self._options = options
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [KEYCARD, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *self._options],
                env=self.environment, cwd=self.environment["HOME"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def start_again(self, **settings: Any) -> Self:
        """Start the process that has ended once more, at the same port; with other settings, if given."""
        assert self.process.poll() is not None
        self.environment |= {f"KEYCARD_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = self._start()
        return self

    @property
    def log(self) -> str:
        return self._log.read_text()

    def status(self, path: str = "/health/ready") -> int:
        """The status of a GET on a new connection; 0 while nobody answers."""
        try:
            return httpx.get(self.base_url + path, timeout=5, trust_env=False, verify=TLS).status_code
        except httpx.TransportError:
            return 0

    def metrics(self, host: str = "127.0.0.1") -> str:
        """What is told at the port of the metrics; nothing while nobody listens there."""
        try:
            answer = self.ask_operator("/metrics", host)
        except httpx.TransportError:
            return ""
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
        return answer.text

    def ask_operator(self, path: str, host: str = "127.0.0.1") -> httpx.Response:
        """GET at the port of the metrics, if the settings have one."""
        url = f"http://{host}:{self.environment['KEYCARD_METRICS_PORT']}{path}"
        return httpx.get(url, timeout=10, trust_env=False, verify=TLS)

    def wait(self, *, ready: int = 200) -> Self:
        """Wait until the server says whether it is ready, and expect this answer."""
        deadline = time.monotonic() + START_SECONDS
        while self.status() != ready:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"not {ready} within {START_SECONDS} seconds: {self.log}"
            time.sleep(0.05)
        return self

    def workers(self) -> list[int]:
        """The processes that answer, as the log names them; a successor takes the place of one that has died."""
        return list(dict(map(int, each) for each in re.findall(r"Spawning worker-(\d+) with PID: (\d+)", self.log)).values())

    def mailers(self) -> list[int]:
        """The process that delivers mail, which is every child that does not answer; for a moment none, after one was killed."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")  # of each of its threads
        return sorted({int(pid) for each in children for pid in each.read_text().split()} - {*self.workers()})

    def pids(self) -> list[int]:
        """The processes of the server: the first one, and its children."""
        return [self.process.pid, *self.mailers(), *self.workers()]

    def kill(self) -> None:
        """End every process of the server at once, without a warning."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def terminate(self) -> None:
        """Ask the process to end, and do not wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the process, politely first, and whatever it started."""
        self.client.close()
        try:
            self.terminate()
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # how politely a server ends is tested in test_serve; here it only has to be gone
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)


class Visitor(Bearer):
    """The actor of the other tests, calling a server process over the network; `at` gives the same person elsewhere."""

    def __init__(self, server: Server, name: str | None = None) -> None:
        self.server = server
        self.name = name or new_name()
        self.password = PASSWORD
        self.access_token: str | None = None
        self.refresh_token: str | None = None
        self.csrf_token: str | None = None

    def at(self, server: Server) -> "Visitor":
        other = Visitor(server, self.name)
        other.access_token, other.refresh_token = self.access_token, self.refresh_token
        return other

    def request(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> Any:
        headers = {**kwargs.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        answer = self.server.client.request(method, path, headers=headers, **kwargs)
        return Response(answer.content, answer.status_code, answer.headers.multi_items())


class RedisServer:
    """A Redis that may be killed: empty at every start, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process:
            return
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(["redis-server", *options], cwd=self._folder, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def kill(self) -> None:
        """Take it away without a warning, and with everything it held."""
        if self._process:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


class PostgresServer:
    """A PostgreSQL cluster of our own that may be stopped, with what was committed still there; always on the same port."""

    def __init__(self, folder: Path, *, standby_of: Self | None = None) -> None:
        """folder: made here. PostgreSQL refuses to run as root, so then it belongs to the user `postgres`."""
        self.port = free_port()
        self.binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
        self.folder = folder
        self._as: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
        command, options = "initdb", ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        if standby_of:
            command, options = "pg_basebackup", ["-d", standby_of.url(), "--write-recovery-conf", "--checkpoint=fast"]
        subprocess.run(
            [self.binaries / command, "-D", folder / "data", "--no-sync", *options],
            cwd=folder, stdout=subprocess.DEVNULL, check=True, timeout=START_SECONDS, **self._as,
        )  # fmt: skip

    def url(self, *, user: str = "postgres", database: str = "postgres", port: int | None = None) -> str:
        """Where it answers. port: of a wire before it."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of the administrator's."""
        return psycopg.connect(self.url(database=database), autocommit=True, connect_timeout=3)

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process:
            return
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder, "-c", "max_prepared_transactions=1"]
        command = [self.binaries / "postgres", "-D", self.folder / "data", *options]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._as)
        eventually(self._answers)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it. SIGINT: orderly, connections are told; SIGQUIT: at once, as in a crash. What it committed stays."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True
