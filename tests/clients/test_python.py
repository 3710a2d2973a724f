"""The Python SDK against a live server: a journey in each delivery, with threads and with asyncio, through expiry and faults."""

import ast
import asyncio
import importlib.metadata
import re
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from keycard_client import AsyncKeycard, Keycard, MemoryStorage, Problem, Tokens, headers_of, models, slugs
from keycard_client.generated import stamp
from keycard_client.generated.operations import AsyncOperations, Operations
from keycard_client.session import Delivery

from clients.generate import __main__ as generate
from clients.generate import python
from clients.generate.common import CLIENTS, document, document_hash, operations
from tests.actors import PASSWORD, new_name
from tests.clients.conftest import tool
from tests.clients.proxy import Proxy
from tests.conftest import IN_CI
from tests.processes.servers import Server

SDK = CLIENTS / "python"
WAITING = 50
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def keycard(proxy: Proxy, storage: MemoryStorage) -> Iterator[Keycard]:
    with Keycard(proxy.base_url, storage=storage) as made:
        yield made


def join(keycard: Keycard) -> str:
    name = new_name()
    keycard.register(username=name, password=PASSWORD)
    keycard.login(username=name, password=PASSWORD)
    return name


def wait_until_expired(storage: MemoryStorage) -> None:
    """Not longer than that: it is the token that says when."""
    tokens = storage.load()
    assert tokens
    time.sleep(max(0.0, tokens.expires_at - time.time()) + 0.05)
    assert tokens.expired


@pytest.mark.parametrize("delivery", ["body", "hybrid", "cookie"])
def test_the_journey(proxy: Proxy, storage: MemoryStorage, delivery: Delivery) -> None:
    """Register, sign in, live through expiry with fifty waiting threads and one refresh, sign out."""
    with Keycard(proxy.base_url, delivery=delivery, storage=storage) as keycard:
        name = join(keycard)
        assert keycard.get_me().username == name
        wait_until_expired(storage)
        with ThreadPoolExecutor(WAITING) as pool:
            found = list(pool.map(lambda _: keycard.get_me().username, range(WAITING)))
        assert found == [name] * WAITING
        assert proxy.refreshes == 1
        assert keycard.update_me(display_name="Ada").display_name == "Ada"
        sessions = keycard.list_sessions().items
        assert [each.current for each in sessions] == [True]
        with pytest.raises(Problem) as wrong:
            keycard.reauthenticate(password="Wrong-Horse-7")
        assert (wrong.value.slug, wrong.value.status) == (slugs.WRONG_PASSWORD, 403)
        # Both renew the session: the pair from before is dead, and calls that are under way go on with the new one.
        with ThreadPoolExecutor(WAITING) as pool:
            calls = [pool.submit(keycard.get_me) for _ in range(WAITING)]
            keycard.reauthenticate(password=PASSWORD)
            assert {each.result().username for each in calls} == {name}
        assert keycard.refresh().session_id == sessions[0].id
        keycard.change_password(current_password=PASSWORD, new_password="Battery-Staple-8")
        assert keycard.get_session().authenticated is True
        assert keycard.refresh().session_id == sessions[0].id
        keycard.logout()
        assert storage.load() is None
        keycard.logout()
        with pytest.raises(Problem) as out:
            keycard.get_me()
        assert (out.value.slug, out.value.status) == (slugs.AUTHENTICATION_REQUIRED, 401)


@pytest.mark.parametrize("delivery", ["body", "hybrid", "cookie"])
def test_the_journey_with_asyncio(proxy: Proxy, storage: MemoryStorage, delivery: Delivery) -> None:
    """The same with fifty waiting tasks."""

    async def journey() -> None:
        name = new_name()
        async with AsyncKeycard(proxy.base_url, delivery=delivery, storage=storage) as keycard:
            await keycard.register(username=name, password=PASSWORD)
            await keycard.login(username=name, password=PASSWORD)
            wait_until_expired(storage)
            found = await asyncio.gather(*(keycard.get_me() for _ in range(WAITING)))
            assert {each.username for each in found} == {name}
            assert proxy.refreshes == 1
            assert [each.current for each in (await keycard.list_sessions()).items] == [True]
            with pytest.raises(Problem) as wrong:
                await keycard.login(username=name, password="Wrong-Horse-7")
            assert wrong.value.slug == slugs.INVALID_CREDENTIALS
            await keycard.logout()
            with pytest.raises(Problem, match="401"):
                await keycard.get_me()

    asyncio.run(journey())


def test_a_task_that_is_cancelled_gives_the_lock_back(proxy: Proxy, storage: MemoryStorage) -> None:
    """The next call refreshes in its place."""

    async def journey() -> None:
        name = new_name()
        async with AsyncKeycard(proxy.base_url, storage=storage) as keycard:
            await keycard.register(username=name, password=PASSWORD)
            await keycard.login(username=name, password=PASSWORD)
            wait_until_expired(storage)
            task = asyncio.create_task(keycard.get_me())
            while not proxy.refreshes:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            assert (await asyncio.wait_for(keycard.get_me(), 30)).username == name

    asyncio.run(journey())


def test_a_lost_answer_of_a_refresh_logs_nobody_out(proxy: Proxy, keycard: Keycard, storage: MemoryStorage) -> None:
    proxy.lose = 2
    name = join(keycard)
    wait_until_expired(storage)
    assert keycard.get_me().username == name
    assert proxy.refreshes == 3
    wait_until_expired(storage)
    assert keycard.get_me().username == name


def test_a_network_that_is_away_keeps_the_tokens(proxy: Proxy, keycard: Keycard, storage: MemoryStorage) -> None:
    proxy.lose = 3
    name = join(keycard)
    wait_until_expired(storage)
    with pytest.raises(httpx.RemoteProtocolError):
        keycard.get_me()
    assert storage.load() is not None
    assert keycard.get_me().username == name


def test_the_failure_of_a_refresh_is_shared_by_all_who_wait(proxy: Proxy, storage: MemoryStorage) -> None:
    """Fifty calls do not try one after the other."""

    async def journey() -> None:
        name = new_name()
        async with AsyncKeycard(proxy.base_url, storage=storage) as keycard:
            await keycard.register(username=name, password=PASSWORD)
            await keycard.login(username=name, password=PASSWORD)
            wait_until_expired(storage)
            proxy.lose = 3
            failures = await asyncio.gather(*(keycard.get_me() for _ in range(WAITING)), return_exceptions=True)
            assert {type(each) for each in failures} == {httpx.RemoteProtocolError}
            assert proxy.refreshes == 3
            assert (await keycard.get_me()).username == name

    asyncio.run(journey())


def test_a_refresh_that_is_only_early_may_fail(proxy: Proxy, keycard: Keycard, storage: MemoryStorage) -> None:
    """The access token is good for a little longer."""
    proxy.lose = 3
    name = join(keycard)
    tokens = storage.load()
    assert tokens
    storage.save(Tokens(tokens.access_token, tokens.refresh_token, expires_at=time.time() + 3, lifetime=60))
    assert keycard.get_me().username == name
    assert proxy.refreshes == 3


def test_a_reused_refresh_token_ends_the_session_for_all_who_wait(
    keycard: Keycard, storage: MemoryStorage, short_lived: Server
) -> None:
    join(keycard)
    stolen = storage.load()
    assert stolen
    token = stolen.refresh_token
    for _ in range(2):  # so that ours is no longer the parent of the newest
        answer = httpx.post(short_lived.base_url + "/v1/auth/refresh", headers={"Authorization": f"Bearer {token}"})
        token = answer.json()["refresh_token"]
    wait_until_expired(storage)
    with ThreadPoolExecutor(10) as pool:
        failures = [each.exception() for each in [pool.submit(keycard.get_me) for _ in range(10)]]
    assert {getattr(each, "slug", each) for each in failures} <= {slugs.REFRESH_TOKEN_REUSED, slugs.AUTHENTICATION_REQUIRED}
    assert slugs.REFRESH_TOKEN_REUSED in {getattr(each, "slug", each) for each in failures}
    assert storage.load() is None


def answering(*handlers: Handler | httpx.Response, storage: MemoryStorage | None = None) -> tuple[Keycard, list[httpx.Request]]:
    """A client whose server gives these answers, one after the other."""
    seen: list[httpx.Request] = []
    waiting = list(handlers)

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        given = waiting.pop(0)
        return given if isinstance(given, httpx.Response) else given(request)

    return Keycard("http://keycard.test", transport=httpx.MockTransport(handle), storage=storage), seen


def problem(status: int, slug: str, **headers: str) -> httpx.Response:
    body = {"type": f"/problems/{slug}", "title": "Title", "status": status, "detail": "Detail.", "request_id": "r1", "new": 1}
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(status: int) -> None:
    wait = problem(status, "too-many-requests", **{"Retry-After": "1"})
    keycard, seen = answering(wait, httpx.Response(200, json={"status": "alive"}))
    began = time.monotonic()
    assert keycard.live().status == "alive"
    assert time.monotonic() - began >= 1
    assert len(seen) == 2


def test_a_wait_that_is_too_long_is_the_callers(storage: MemoryStorage) -> None:
    keycard, seen = answering(problem(429, "too-many-requests", **{"Retry-After": "31"}))
    with pytest.raises(Problem) as raised:
        keycard.live()
    assert (raised.value.slug, raised.value.retry_after, len(seen)) == (slugs.TOO_MANY_REQUESTS, 31, 1)


def test_a_problem_that_is_newer_than_the_sdk_is_a_problem_too() -> None:
    keycard, _ = answering(problem(418, "teapot"))
    with pytest.raises(Problem) as raised:
        keycard.live()
    found = raised.value
    assert (found.slug, found.status, found.detail, found.request_id, found.body["new"]) == ("teapot", 418, "Detail.", "r1", 1)


@pytest.mark.parametrize("status", [200, 302, 502])
def test_the_page_of_a_proxy_is_an_error_with_its_status(status: int, storage: MemoryStorage) -> None:
    """Even where it takes the place of a refresh; then it ends no session."""
    page = httpx.Response(status, html="<h1>Please wait</h1>")
    keycard, _ = answering(page, *[page] * 3, storage=storage)
    with pytest.raises(Problem) as raised:
        keycard.live()
    assert (raised.value.slug, raised.value.status) == ("", status)
    storage.save(Tokens("access", "refresh"))
    with pytest.raises(Problem) as raised:
        keycard.get_me()
    assert (raised.value.slug, raised.value.status) == ("", status)
    assert storage.load() is not None


def test_the_refresh_waits_as_it_is_told(storage: MemoryStorage) -> None:
    """And an answer of a refresh that was lost is not waited for: that could outlast the grace window."""
    storage.save(Tokens("access", "refresh"))
    wait = problem(503, "service-unavailable", **{"Retry-After": "1"})
    keycard, seen = answering(wait, problem(401, "refresh-token-reused"), storage=storage)
    with pytest.raises(Problem) as raised:
        keycard.get_me()
    assert (raised.value.slug, len(seen), storage.load()) == (slugs.REFRESH_TOKEN_REUSED, 2, None)
    storage.save(Tokens("access", "refresh"))
    keycard, seen = answering(httpx.Response(502), wait, storage=storage)
    with pytest.raises(Problem) as raised:
        keycard.get_me()
    assert (raised.value.slug, len(seen)) == (slugs.SERVICE_UNAVAILABLE, 2)
    assert storage.load() is not None
    assert [each.headers["Authorization"] for each in seen] == ["Bearer refresh"] * 2


def test_a_lost_refresh_is_tried_again_soon_enough(storage: MemoryStorage) -> None:
    """Three tries: two of 3 seconds, so that the last starts within the grace window, and that one as long as any request."""
    storage.save(Tokens("access", "refresh"))
    keycard, seen = answering(*[httpx.Response(502)] * 3, storage=storage)
    with pytest.raises(Problem):
        keycard.get_me()
    assert [each.extensions["timeout"]["read"] for each in seen] == [3.0, 3.0, 30.0]
    assert [each.headers["Authorization"] for each in seen] == ["Bearer refresh"] * 3


def test_what_was_refused_is_sent_once_more_and_not_twice(storage: MemoryStorage) -> None:
    """401 token-revoked, refresh, 401 again: that is the answer."""
    storage.save(Tokens("access", "refresh", expires_at=time.time() + 600, lifetime=600))
    pair = httpx.Response(200, json={"access_token": "next", "refresh_token": "next-refresh", "expires_in": 600})
    revoked = problem(401, "token-revoked")
    keycard, seen = answering(revoked, pair, revoked, storage=storage)
    with pytest.raises(Problem) as raised:
        keycard.update_me(display_name="Ada")
    assert raised.value.slug == slugs.TOKEN_REVOKED
    assert [each.headers["Authorization"] for each in seen] == ["Bearer access", "Bearer refresh", "Bearer next"]
    assert seen[0].content == seen[2].content


def test_a_server_below_a_path_is_no_different(storage: MemoryStorage) -> None:
    pair = {"access_token": "a", "refresh_token": "r", "expires_in": 600, "refresh_expires_in": 6000, "token_type": "Bearer"}
    pair |= {"session_id": str(uuid.uuid4()), "delivery": "body"}
    transport = httpx.MockTransport(lambda request: httpx.Response(200 if "login" in str(request.url) else 204, json=pair))
    with Keycard("http://keycard.test/auth/", storage=storage, transport=transport) as keycard:
        keycard.login(username="ada", password=PASSWORD)
        assert storage.load() is not None
        keycard.logout()
        assert storage.load() is None


def test_values_and_members_that_are_newer_than_the_sdk_survive(storage: MemoryStorage) -> None:
    storage.save(Tokens("access", "refresh", expires_at=time.time() + 600, lifetime=600))
    nothing = dict.fromkeys(["user_id", "actor_id", "session_id", "ip_address", "user_agent", "detail"])
    event = {"id": str(uuid.uuid4()), "type": "abducted", "created_at": "2026-11-22T09:30:00+00:00", "planet": "Mars", **nothing}
    keycard, seen = answering(httpx.Response(200, json={"items": [event], "next_cursor": None, "more": 1}), storage=storage)
    (found,) = keycard.list_my_events().items
    assert found.type_ == "abducted"
    assert seen[0].headers["Authorization"] == "Bearer access"


def test_public_operations_carry_no_token(storage: MemoryStorage) -> None:
    storage.save(Tokens("access", "refresh", expires_at=time.time() + 600, lifetime=600))
    keycard, seen = answering(httpx.Response(200, json={"status": "alive"}), storage=storage)
    keycard.live()
    assert "Authorization" not in seen[0].headers


def test_no_token_is_shown(keycard: Keycard, storage: MemoryStorage) -> None:
    join(keycard)
    tokens = storage.load()
    assert tokens
    assert tokens.access_token
    assert tokens.refresh_token
    shown = repr((tokens, keycard, storage))
    assert tokens.access_token not in shown
    assert tokens.refresh_token not in shown


def test_the_headers_of_an_answer_are_at_hand(keycard: Keycard) -> None:
    config = keycard.get_config()
    assert headers_of(config)["X-Request-ID"]
    with pytest.raises(TypeError):
        headers_of(models.Alive(status="alive"))


def test_every_operation_is_a_method_of_both_clients() -> None:
    wanted = set(operations(document()))
    assert len(wanted) == 38
    for kind in (Operations, AsyncOperations):
        assert {name for name in vars(kind) if not name.startswith("_")} == wanted


def test_every_kind_of_problem_is_a_constant() -> None:
    known = {value for name, value in vars(slugs).items() if name.isupper()}
    types = document()["components"]["schemas"]["Problem"]["properties"]["type"]["examples"]
    assert {f"/problems/{slug}" for slug in known} == set(types)


def test_the_stamp_names_the_document() -> None:
    assert (document()["info"]["version"], document_hash()) == (stamp.DOCUMENT_VERSION, stamp.DOCUMENT_SHA256)


def test_generated_twice_it_is_the_same_and_what_is_committed(tmp_path: Path) -> None:
    """Whatever the settings around the folder."""
    assert tool("openapi-python-client")
    assert tool("ruff")
    (tmp_path / "ruff.toml").write_text("line-length = 60\n")
    for name in ("one", "other"):
        python.write(tmp_path / name)
    assert generate.differences(tmp_path / "one", tmp_path / "other") == []
    assert generate.differences(tmp_path / "one", CLIENTS / python.FOLDER) == []


@pytest.mark.parametrize("checker", [["mypy", "--cache-dir", "{tmp}"], ["pyright"]])
def test_the_types_are_strict(checker: list[str], tmp_path: Path) -> None:
    command = [tool(checker[0]), *(each.format(tmp=tmp_path) for each in checker[1:])]
    done = subprocess.run(command, cwd=SDK, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_the_types_and_no_tests(tmp_path: Path) -> None:
    """What somebody installs: the package with py.typed, and nothing of this machine."""
    found = [each.version for each in importlib.metadata.distributions(name="setuptools")]
    if not found or int(found[0].partition(".")[0]) < 80:
        (pytest.fail if IN_CI else pytest.skip)("what builds the wheel is missing or too old: pip install 'setuptools>=80'")
    shutil.copytree(SDK, tmp_path / "sdk", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "sdk", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("keycard_client-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "keycard_client/py.typed" in names
    assert "keycard_client/generated/models/user.py" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"keycard_client"}


def recipes() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)


def test_the_first_call_takes_five_lines() -> None:
    first = recipes()[0]
    assert "get_me" in first
    assert len([line for line in first.splitlines() if line.strip()]) <= 5
    ast.parse(first)


def test_the_readme_does_what_it_says(short_lived: Server, capsys: pytest.CaptureFixture[str]) -> None:
    name = new_name()
    with Keycard(short_lived.base_url) as keycard:
        keycard.register(username=name, password=PASSWORD)
    for recipe in recipes():
        if "# a service of your own" in recipe:
            continue  # test_python_verify runs those
        code = recipe.replace("https://auth.example.com", short_lived.base_url).replace('"ada"', repr(name))
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - the README is ours
    assert name in capsys.readouterr().out
