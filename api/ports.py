"""Ports to listen on, each for one server.

Granian shares a port with every other server that shares it (SO_REUSEPORT): a second Keycard would start without a word and take
half of the connections.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class CannotListenError(Exception):
    """Nobody can listen there now; the message is a sentence that names the setting and the port."""


@contextmanager
def reserved(setting: str, host: str, port: int) -> Iterator[str]:
    """Keep other servers of Keycard from a port while the block runs, whether or not this one listens yet. Yields the address.

    setting: that chooses the port. Raises CannotListenError.
    """
    with socket.socket(socket.AF_UNIX) as name:
        with _telling(setting, host, port):
            address = _resolve(host, port)
            _claim(name, f"{address} {port}")
        check(setting, host, port)
        yield address


def check(setting: str, host: str, port: int) -> None:
    """Raise CannotListenError if nobody can listen there now."""
    with _telling(setting, host, port), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the server before may still be closing
        probe.bind((host, port))


@contextmanager
def _telling(setting: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotListenError(f"{setting}: cannot listen on {host} port {port}: {error.strerror}") from None


def _resolve(host: str, port: int) -> str:
    """An address for a name, as `bind` would choose it: Granian takes no names."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return str(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4][0])


def _claim(name: socket.socket, text: str) -> None:
    """Of two servers that start at the same moment, and both find the port free, one gets its name.

    An abstract name belongs to the network namespace, as ports do, and is free again when the last process of a server has ended.
    Only Linux has them.
    """
    if sys.platform == "linux":
        name.bind(f"\0keycard {text}")
