"""PostgreSQL and Redis as compose.yaml starts them, on ports of this machine."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis
import yaml
from psycopg import sql

from tests.processes.servers import STOP_SECONDS, PostgresServer, eventually, free_port

ROOT = Path(__file__).parents[2]
FIRST_START = ROOT / "deploy" / "database.sql"


def passwords(env: Path) -> dict[str, str]:
    """What the first command of compose.yaml writes into a file."""
    subprocess.run([ROOT / "deploy" / "secrets.sh", env], check=True)
    return dict(line.split("=", 1) for line in env.read_text().splitlines())


def prepare(server: PostgresServer, secrets: Mapping[str, str]) -> str:
    """Do what the first start of the image does, and demand passwords from then on. Returns the URL that Keycard is given."""
    command = [server.binaries / "psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", FIRST_START, server.url()]
    subprocess.run(command, env={"PATH": os.environ["PATH"], **secrets}, check=True, capture_output=True)
    with server.connect() as administrator:
        [rules] = administrator.execute("SHOW hba_file").fetchone() or [""]
        Path(rules).write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        own = sql.Literal(secrets["POSTGRES_PASSWORD"])
        administrator.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(own))
        administrator.execute("SELECT pg_reload_conf()")
    return f"postgresql://keycard:{secrets['DATABASE_PASSWORD']}@127.0.0.1:{server.port}/keycard"


@contextmanager
def redis_server(folder: Path, secrets: Mapping[str, str]) -> Iterator[str]:
    """Run the command of the service `redis`, but for its port. Yields the URL that Keycard is given."""
    port = free_port()
    service = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["redis"]
    *shell, script = [each.replace("$$", "$") for each in service["command"]]
    here = script.replace("redis-server -", f"redis-server - --bind 127.0.0.1 --port {port}")
    assert here != script
    environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": secrets["REDIS_PASSWORD"]}
    process = subprocess.Popen([*shell, here], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    url = f"redis://:{secrets['REDIS_PASSWORD']}@127.0.0.1:{port}/0"
    client = redis.Redis.from_url(url)
    try:
        eventually(lambda: _answers(client))
        yield url
    finally:
        client.close()
        process.terminate()
        process.wait(STOP_SECONDS)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
