"""A wire that can be damaged: a TCP proxy between Keycard and its database or its Redis."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK = 65_536
BEGIN, COMMIT, ROLLBACK = b"BEGIN\0", b"COMMIT\0", b"ROLLBACK\0"  # the ends of the messages in which libpq sends them
CHANGE = b"WITH decided AS"  # outside a transaction it commits by itself
PARSE, BIND = b"P", b"B"  # a statement is prepared by name, and run by it; each begins what libpq sends at once


@dataclass
class Connection:
    """What has passed. changes: the names of statements that commit by themselves. lose: the next answer is not to arrive."""

    begun: bool = False
    lose: bool = False
    changes: set[bytes] = field(default_factory=set)

    def commits(self, data: bytes) -> bool:
        """Note what is sent, and say whether the database makes something last when it gets it."""
        if data.startswith(PARSE) and CHANGE in data:
            self.changes.add(_name(data, 5))
        if data.endswith((BEGIN, COMMIT, ROLLBACK)):
            self.begun = data.endswith(BEGIN)
        return data.endswith(COMMIT) or (data.startswith(BIND) and not self.begun and _name(data, 6) in self.changes)


def _name(data: bytes, start: int) -> bytes:
    """What stands between there and the next zero: after kind and length, of BIND also after the name of no portal."""
    return data[start : data.index(b"\0", start)]


Forward = Callable[[bytes, socket.socket, Connection], bool]


class Wire:
    """Forward every connection to a port of 127.0.0.1, from construction to `stop`.

    delay: by how many seconds each answer is late. silent: connections are accepted, and nothing passes. lost: how many
    answers to COMMIT were lost.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.silent = False
        self.lost = 0
        self._left = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.1)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def lose_the_answer_to_commit(self, nth: int = 1) -> None:
        """Let the nth COMMIT from now on be done by the database, and cut its connection instead of answering."""
        with self._lock:
            self._left, self.lost = nth, 0

    def cut(self) -> None:
        """Break every open connection; new ones are possible."""
        for each in list(self._open):
            self._close(each)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(OSError):  # nobody came in a tenth of a second, or nobody listens behind us
                near, _ = self._listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        near.settimeout(None)
        self._open |= {near, far}
        connection = Connection()
        for source, drain, forward in ((near, far, self._ask), (far, near, self._answer)):
            threading.Thread(target=self._pump, args=(source, drain, forward, connection), daemon=True).start()

    def _pump(self, source: socket.socket, drain: socket.socket, forward: Forward, connection: Connection) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                while self.silent and not self._stopped.wait(0.05):
                    pass
                if not forward(data, drain, connection):
                    break
        self._close(source)
        self._close(drain)

    def _ask(self, data: bytes, drain: socket.socket, connection: Connection) -> bool:
        if connection.commits(data):
            with self._lock:
                self._left -= 1
                connection.lose = self._left == 0
        drain.sendall(data)
        return True

    def _answer(self, data: bytes, drain: socket.socket, connection: Connection) -> bool:
        if connection.lose:  # the database has answered, so the commit is done
            with self._lock:
                self.lost += 1
            return False
        time.sleep(self.delay)
        drain.sendall(data)
        return True

    def _close(self, each: socket.socket) -> None:
        self._open.discard(each)
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
