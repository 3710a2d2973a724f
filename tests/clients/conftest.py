"""A live server with access tokens of seconds, for the SDKs; and the Python SDK, as it lies here."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from clients.generate.common import CLIENTS
from tests.clients.proxy import Proxy
from tests.conftest import IN_CI, Stores
from tests.processes.servers import Server

# Not installed: what is tested is this checkout, and its dependencies are among those of the tests.
sys.path.insert(0, str(CLIENTS / "python"))
# Long enough for fifty calls after a refresh, short enough to wait for.
LIFETIME = 5


def tool(name: str) -> str:
    """Where this program of the toolchain is."""
    found = shutil.which(name)
    if not found:
        (pytest.fail if IN_CI else pytest.skip)(f"there is no {name} on the PATH; tox.ini says which, in [testenv:clients]")
    return found


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose access tokens live for seconds."""
    folder = tmp_path_factory.mktemp("short-lived")
    stores = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None)
    server = Server(stores.environment(folder, access_token_lifetime=LIFETIME), "--threads", "6")
    try:
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture
def proxy(short_lived: Server) -> Iterator[Proxy]:
    """What lies between the SDK and that server."""
    with Proxy(short_lived.base_url) as made:
        yield made
