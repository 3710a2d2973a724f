"""The verifier of the Python SDK: which tokens it refuses, when it reads the keys, and what its ASGI guard answers."""

import asyncio
import base64
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm
from keycard_client import verify
from keycard_client.asgi import Guard
from keycard_client.verify import Refused, Verifier

from clients.generate.common import CLIENTS
from tests.processes.servers import free_port

ISSUER = "https://auth.example.com"


class Keys:
    """An issuer: signs tokens, and publishes its keys over HTTP, counting how often they are read."""

    def __init__(self) -> None:
        self.private: dict[str, Ed25519PrivateKey] = {}
        self.reads = 0
        self.broken = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"keys": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self.add("one")

    def add(self, kid: str) -> None:
        self.private[kid] = Ed25519PrivateKey.generate()

    def published(self) -> dict[str, Any]:
        found = [(kid, OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)) for kid, key in self.private.items()]
        return {"keys": [{**jwk, "kid": kid, "alg": "EdDSA", "use": "sig"} for kid, jwk in found]}

    def token(self, *, kid: str = "one", typ: str = "at+jwt", key: Any = None, algorithm: str = "EdDSA", **claims: Any) -> str:
        """A good access token, but for what is given."""
        now = int(time.time())
        good = {
            "iss": ISSUER, "aud": ISSUER, "sub": str(uuid.uuid4()), "sid": str(uuid.uuid4()), "jti": str(uuid.uuid4()),
            "iat": now, "exp": now + 60, "type": "access", "roles": ["user"], "scope": "read write", "epoch": 0,
        }  # fmt: skip
        said = {name: value for name, value in {**good, **claims}.items() if value is not None}
        signer = self.private.get(kid) if key is None else key
        return jwt.encode(said, signer or self.private["one"], algorithm, headers={"kid": kid, "typ": typ})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    keys: Keys

    def do_GET(self) -> None:
        self.keys.reads += 1
        body = json.dumps(self.keys.published()).encode()
        self.send_response(500 if self.keys.broken else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def keys() -> Iterator[Keys]:
    made = Keys()
    yield made
    made.stop()


@pytest.fixture
def verifier(keys: Keys) -> Verifier:
    return Verifier(ISSUER, jwks_url=keys.url)


def refused(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as raised:
        call()
    return raised.value


def test_a_good_token_says_who_is_calling(keys: Keys, verifier: Verifier) -> None:
    user_id, session_id = str(uuid.uuid4()), str(uuid.uuid4())
    token = keys.token(sub=user_id, sid=session_id, roles=["user", "editor"])
    caller = verifier.authorize(f"Bearer {token}", roles=["editor"], scopes=["read"])
    assert (caller.user_id, caller.session_id) == (user_id, session_id)
    assert (caller.roles, caller.scopes) == (("user", "editor"), ("read", "write"))
    assert verifier.authorize(f"bearer {token}").claims["iss"] == ISSUER


@pytest.mark.parametrize(
    "wrong",
    [
        {"typ": "JWT"}, {"typ": "rt+jwt"}, {"type": "refresh"}, {"iss": "https://evil.example.com"}, {"aud": "another-service"},
        {"exp": int(time.time()) - 1}, {"exp": None}, {"sub": None}, {"sid": None}, {"epoch": None}, {"roles": "admin"},
        {"epoch": "0"}, {"gen": "0"}, {"gen": 0.5}, {"key": Ed25519PrivateKey.generate()}, {"kid": "unknown"},
    ],
)  # fmt: skip
def test_any_other_token_is_refused(keys: Keys, verifier: Verifier, wrong: dict[str, Any]) -> None:
    found = refused(lambda: verifier.verify(keys.token(**wrong)))
    assert (found.status, found.challenge) == (401, 'Bearer error="invalid_token"')
    assert verifier.verify(keys.token()).roles == ("user",)


def test_the_public_key_is_no_secret(keys: Keys, verifier: Verifier) -> None:
    """Neither HS256 with what everybody can read, nor no signature at all (RFC 8725, section 2.1)."""
    public = keys.private["one"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert refused(lambda: verifier.verify(keys.token(key=public, algorithm="HS256"))).status == 401
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one","typ":"at+jwt"}').decode().rstrip("=")
    assert refused(lambda: verifier.verify(f"{head}.{keys.token().split('.')[1]}.")).status == 401


@pytest.mark.parametrize("header", ["[]", "1", '{"kid":["one"]}', '{"kid":null}', "\xff", "[" * 20_000, '{"a":' * 20_000])
def test_rubbish_is_refused_and_breaks_nothing(keys: Keys, verifier: Verifier, header: str) -> None:
    head = base64.urlsafe_b64encode(header.replace('{"kid"', '{"typ":"at+jwt","alg":"EdDSA","kid"').encode("latin-1")).decode()
    assert refused(lambda: verifier.verify(f"{head.rstrip('=')}.e30.AAAA")).status == 401


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer x\n", "Bearer é"])
def test_without_a_bearer_token_there_is_no_error_code(verifier: Verifier, header: str | None) -> None:
    """RFC 6750, section 3.1."""
    assert refused(lambda: verifier.authorize(header)).challenge == "Bearer"


@pytest.mark.parametrize("needs", [{"roles": ["admin"]}, {"scopes": ["delete"]}, {"roles": ["user", "admin"]}])
def test_who_lacks_a_role_or_a_scope_is_forbidden(keys: Keys, verifier: Verifier, needs: dict[str, list[str]]) -> None:
    found = refused(lambda: verifier.authorize(f"Bearer {keys.token()}", **needs))
    assert (found.status, found.challenge) == (403, 'Bearer error="insufficient_scope"')


def test_the_keys_are_read_once_and_a_forger_cannot_make_it_hammer(keys: Keys, verifier: Verifier) -> None:
    for _ in range(20):
        verifier.verify(keys.token())
        refused(lambda: verifier.verify(keys.token(kid=str(uuid.uuid4()))))
    assert keys.reads == 1


def test_a_new_key_is_found(keys: Keys, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the unknown `kid`, although the known ones are not old yet."""
    verifier.verify(keys.token())
    keys.add("two")
    monkeypatch.setattr(verify, "MIN_INTERVAL_SECONDS", 0.0)
    verifier.verify(keys.token(kid="two"))
    verifier.verify(keys.token(kid="one"))
    assert keys.reads == 2


def test_keys_that_are_old_are_read_again_and_one_that_was_taken_back_is_refused(
    keys: Keys, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = keys.token()
    verifier.verify(token)
    keys.private.clear()
    keys.add("two")
    for name in ("MIN_INTERVAL_SECONDS", "KEYS_LIVE_SECONDS"):
        monkeypatch.setattr(verify, name, 0.0)
    assert refused(lambda: verifier.verify(token)).status == 401


def test_keys_that_cannot_be_read_are_no_fault_of_the_caller(
    keys: Keys, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while there are none; those that are known stay good. Not every request tries."""
    keys.broken = True
    for _ in range(5):
        found = refused(lambda: verifier.verify(keys.token()))
        assert (found.status, found.headers["Retry-After"]) == (503, "2")
    assert keys.reads == 1
    keys.broken = False
    monkeypatch.setattr(verify, "RETRY_SECONDS", 0.0)
    verifier.verify(keys.token())
    keys.broken = True
    for name in ("MIN_INTERVAL_SECONDS", "KEYS_LIVE_SECONDS"):
        monkeypatch.setattr(verify, name, 0.0)
    verifier.verify(keys.token())
    assert keys.reads == 3


def test_the_issuer_has_five_seconds_to_answer(keys: Keys, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    get, given = httpx.get, []
    monkeypatch.setattr(httpx, "get", lambda url, *, timeout: (given.append(timeout), get(url, timeout=timeout))[1])
    verifier.verify(keys.token())
    assert given == [5.0]


def test_keys_that_could_not_be_read_anew_for_an_hour_are_not_trusted(
    keys: Keys, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them may have been taken back. The answer is 503 until they can be read."""
    clock = Clock()
    monkeypatch.setattr(verify, "time", clock)
    verifier.verify(keys.token())
    keys.broken = True
    clock.now += 3600
    verifier.verify(keys.token())
    clock.now += 2
    for _ in range(3):
        assert refused(lambda: verifier.verify(keys.token())).status == 503
    assert keys.reads == 3
    keys.broken = False
    clock.now += 2
    verifier.verify(keys.token())


class Clock:
    """What the verifier measures durations with."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def mirror(redis_url: str) -> Iterator[redis.Redis]:
    """A mirror that is complete and holds nothing."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        client.set(f"{verify.REVOKED}complete", 1)
        yield client
        client.flushdb()


@pytest.fixture
def asking(keys: Keys, redis_url: str) -> Verifier:
    """A verifier that asks the mirror."""
    return Verifier(ISSUER, jwks_url=keys.url, redis_url=redis_url)


@pytest.mark.parametrize(
    "case",
    [
        ("sid:s", [], [{}, {"epoch": 9, "gen": 9}]),
        ("sub:u", [{"epoch": 2}, {"epoch": 3}], [{"epoch": 1}, {"epoch": 1, "gen": 9}]),
        ("gen:s", [{"gen": 2}, {"gen": 3}], [{}, {"gen": 0}, {"gen": 1}, {"epoch": 9, "gen": 1}]),
        ("gen:u", [{}], []),
        ("sid:u", [{}], []),
    ],
)
def test_what_the_mirror_says_is_refused(
    keys: Keys, asking: Verifier, mirror: redis.Redis, case: tuple[str, list[dict[str, int]], list[dict[str, int]]]
) -> None:
    """An ended session, older tokens of a renewed one, older tokens of a person; and nobody else's."""
    name, good, dead = case
    live, killed = ([keys.token(sub="u", sid="s", **claims) for claims in those] for those in (good, dead))
    for token in (*live, *killed):
        asking.verify(token)
    mirror.set(f"{verify.REVOKED}{name}", 2)
    for token in live:
        asking.verify(token)
    for token in killed:
        assert refused(lambda token=token: asking.verify(token)).status == 401


def test_the_mirror_is_asked_once(keys: Keys, asking: Verifier, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one round trip."""
    assert mirror.exists(f"{verify.REVOKED}complete")
    seen: list[str] = []
    execute = redis.Redis.execute_command

    def telling(self: redis.Redis, *arguments: Any, **options: Any) -> Any:
        seen.append(arguments[0])
        return execute(self, *arguments, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", telling)
    asking.verify(keys.token())
    assert seen == ["MGET"]


def test_a_mirror_that_is_away_lets_nobody_in_unless_told_otherwise(keys: Keys) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    assert refused(lambda: Verifier(ISSUER, jwks_url=keys.url, redis_url=away).verify(keys.token())).status == 503
    assert Verifier(ISSUER, jwks_url=keys.url, redis_url=away, fail_open=True).verify(keys.token()).roles == ("user",)


def test_the_asgi_guard(keys: Keys, verifier: Verifier) -> None:
    async def app(scope: MutableMapping[str, Any], _: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["caller"].roles[0].encode()})

    async def call(guarded: Guard, *headers: tuple[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://items.test") as client:
            return await client.get("/", headers=list(headers))

    good = ("Authorization", f"Bearer {keys.token()}")
    answer = asyncio.run(call(Guard(app, verifier, scopes=["read"]), good))
    assert (answer.status_code, answer.text) == (200, "user")
    for guarded, headers, status, challenge in (
        (Guard(app, verifier), [], 401, "Bearer"),
        (Guard(app, verifier), [good, good], 401, "Bearer"),
        (Guard(app, verifier, roles=["admin"]), [good], 403, 'Bearer error="insufficient_scope"'),
    ):
        answer = asyncio.run(call(guarded, *headers))
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (status, challenge)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_the_asgi_guard_closes_a_websocket_and_lets_the_lifespan_through(verifier: Verifier) -> None:
    reached, sent = [], []

    async def app(scope: MutableMapping[str, Any], *_: Any) -> None:
        reached.append(scope["type"])

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    for kind in ("lifespan", "websocket"):
        asyncio.run(Guard(app, verifier)({"type": kind, "headers": []}, receive, send))
    assert reached == ["lifespan"]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_services_of_the_readme_do_what_it_says(keys: Keys) -> None:
    """Whoever is an editor reads the drafts, with Flask and with ASGI."""
    recipes = re.findall(
        r"```python\n(# a service of your own\n.*?)```", (CLIENTS / "python" / "README.md").read_text(), re.DOTALL
    )
    assert len(recipes) == 2
    user_id = str(uuid.uuid4())
    tokens = keys.token(sub=user_id, roles=["editor"]), keys.token(sub=user_id, roles=["user"])
    for recipe in recipes:
        named: dict[str, Any] = {"__name__": "readme"}
        code = recipe.replace('Verifier("https://auth.example.com")', f'Verifier("{ISSUER}", jwks_url="{keys.url}")')
        exec(compile(code, "README.md", "exec"), named)  # noqa: S102 - the README is ours
        editor, user = (_get(named["app"], token) for token in tokens)
        assert (editor[0], user_id in editor[1], user[0]) == (200, True, 403)


def _get(app: Any, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    if not isinstance(app, Guard):
        answer = app.test_client().get("/drafts", headers=headers)
        return answer.status_code, answer.text

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://drafts.test") as client:
            return await client.get("/drafts", headers=headers)

    found = asyncio.run(call())
    return found.status_code, found.text
