"""The disk under SQLite is full: writing is refused, reading goes on, and what was acknowledged is on the disk."""

import contextlib
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stores
from tests.processes.servers import Server, Visitor, eventually, free_port

NEW_PASSWORD = "Another-Horse-8"
UNAVAILABLE = (503, "/problems/service-unavailable", True)


class SmallDisk:
    """A file system of 8 MiB in memory; making one needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "keycard-test", str(folder)], check=True, capture_output=True)

    def fill(self, _: Server) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def make_room(self, _: Server) -> None:
        (self.folder / "ballast").unlink()

    def remove(self) -> None:
        # A process that was killed a moment ago may still hold its files.
        eventually(lambda: subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0)


class SmallQuota:
    """A limit on the size of every file that the server writes (RLIMIT_FSIZE), for where mounting is not allowed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: Server) -> None:
        self._limit(server, 4096)

    def make_room(self, server: Server) -> None:
        if server.process.poll() is None:
            self._limit(server, resource.RLIM_INFINITY)

    def remove(self) -> None:
        """Nothing to do."""

    @staticmethod
    def _limit(server: Server, size: int) -> None:
        for pid in server.pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


Disk = SmallDisk | SmallQuota


@pytest.fixture(params=[SmallDisk, SmallQuota])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    try:
        made: Disk = request.param(tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here ({error}); the test with a quota shows the same")
    yield made
    made.remove()


@pytest.fixture
def run(disk: Disk, start: Callable[..., Server]) -> Iterator[Callable[[], Server]]:
    """Start a server whose database is on the disk."""
    running: list[Server] = []

    def begin() -> Server:
        stores = Stores("sqlite", f"sqlite:///{disk.folder}/keycard.sqlite3", None)
        running.append(start(stores, metrics_port=free_port()).wait())
        eventually(running[-1].metrics)
        return running[-1]

    yield begin
    for each in running:
        each.kill()


def seen(answer: Any) -> tuple[int, str, bool]:
    """What the client sees: the status, the problem, and whether it is told when to try again."""
    return answer.status_code, (answer.json or {}).get("type", ""), int(answer.headers.get("Retry-After", 0)) > 0


def change_password(user: Visitor) -> Any:
    return user.put("/v1/users/me/password", json={"current_password": user.password, "new_password": NEW_PASSWORD})


def use_up(filler: Visitor) -> None:
    """Write until there is no room: SQLite's log may have had some left."""
    assert any(filler.refresh().status_code == 503 for _ in range(2000))


def integrity(disk: Disk) -> str:
    with contextlib.closing(sqlite3.connect(disk.folder / "keycard.sqlite3")) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def test_a_full_disk_refuses_writing_and_loses_nothing(disk: Disk, run: Callable[[], Server]) -> None:
    """503 and no half-done thing; a sign-out that was acknowledged has survived the server's sudden death, and only such."""
    server = run()
    filler, stays, changing = (Visitor(server).join() for _ in range(3))
    people = [Visitor(server).join() for _ in range(20)]
    disk.fill(server)
    answers = {user: seen(user.logout()) for user in people[:10]}
    use_up(filler)
    answers |= {user: seen(user.logout()) for user in people[10:]}
    assert set(answers.values()) <= {(204, "", False), UNAVAILABLE}
    refused = [user for user, answer in answers.items() if answer == UNAVAILABLE]
    assert refused[-10:] == people[10:]

    new = Visitor(server)
    calls = (new.register, stays.login, stays.refresh, lambda: change_password(changing))
    assert [seen(call()) for call in calls] == [UNAVAILABLE] * len(calls)
    assert stays.get("/v1/users/me").status_code == 200
    for user, answer in answers.items():
        assert user.get("/v1/users/me").status_code == (200 if answer == UNAVAILABLE else 401)

    server.kill()
    disk.make_room(server)
    assert integrity(disk) == "ok"
    server = run()
    for user, answer in answers.items():
        again = user.at(server)
        assert again.get("/v1/users/me").status_code == (200 if answer == UNAVAILABLE else 401)
        assert again.logout().status_code == 204
        assert again.get("/v1/users/me").status_code == 401
    assert stays.at(server).refresh().status_code == 200
    assert changing.at(server).login().status_code == 200
    assert new.at(server).register().status_code == 201


def test_the_service_works_again_when_there_is_room(disk: Disk, run: Callable[[], Server]) -> None:
    """Readiness turns red and green; nobody has to restart anything, and every client goes on with what it has."""
    server = run()
    user, leaving, new = Visitor(server).join(), Visitor(server).join(), Visitor(server)
    disk.fill(server)
    use_up(user)
    assert seen(new.register()) == UNAVAILABLE
    eventually(lambda: user.refresh().status_code == 503 and server.status() == 503)
    eventually(lambda: server.ask_operator("/ready").json()["database"] == "read-only")
    assert server.status("/health/live") == 200
    disk.make_room(server)
    eventually(lambda: server.status() == 200)
    assert user.refresh().status_code == 200
    assert new.register().status_code == 201
    assert leaving.logout().status_code == 204
    assert leaving.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert server.status() == 200
    assert server.ask_operator("/ready").json()["database"] == "ok"
    server.kill()
    assert integrity(disk) == "ok"
