"""Every operation of the Python SDK, called against a live server: what it answers can be read, or its refusal is typed."""

from typing import Any
from uuid import UUID

import pytest
from keycard_client import Keycard, Problem, headers_of, slugs

from clients.generate.common import document, operations, problem_slugs
from tests.actors import PASSWORD, new_name
from tests.processes.servers import Server, keycard

NEW_PASSWORD = "Correct-Horse-8"


class Calls:
    """A client that notes which operations were called."""

    def __init__(self, client: Keycard) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, operation: str) -> Any:
        self.called.add(operation)
        return getattr(self.client, operation)


def test_every_operation_works_against_the_server(short_lived: Server) -> None:
    admin, name = new_name(), new_name()
    keycard(short_lived.environment, "users", "create", admin, "--password", PASSWORD, "--admin")
    with Keycard(short_lived.base_url) as client:
        calls = Calls(client)
        what_everybody_may_ask(calls)
        user_id = without_an_account(calls, name)
        calls.login(username=admin, password=PASSWORD)
        what_an_administrator_does(calls, name, user_id)
        one_s_own_account(calls, admin)
    assert calls.called == set(operations(document()))


def what_everybody_may_ask(calls: Calls) -> None:
    assert (calls.live().status, calls.ready().status) == ("alive", "ready")
    assert calls.get_jwks().keys[0].kid
    assert calls.get_metadata().issuer == "http://127.0.0.1:8000"
    assert calls.get_config().password_policy
    assert calls.get_session().authenticated is False
    assert calls.get_problem(slugs.WRONG_PASSWORD).status == 403
    assert len(calls.list_problems().items) == len(problem_slugs(document()))


def without_an_account(calls: Calls, name: str) -> UUID:
    calls.forgot_password(email="ada@example.com")
    for call in (
        lambda: calls.verify_email(token="x" * 43),
        lambda: calls.reset_password(token="x" * 43, new_password=NEW_PASSWORD),
        lambda: calls.undo_email_change(token="x" * 43),
        lambda: calls.describe_mailed_token(token="x" * 43),
    ):
        with pytest.raises(Problem) as raised:
            call()
        assert raised.value.slug == slugs.ONE_TIME_TOKEN_REFUSED
    found: UUID = calls.register(username=name, password=PASSWORD).id
    return found


def what_an_administrator_does(calls: Calls, name: str, user_id: UUID) -> None:
    assert [each.id for each in calls.list_users(q=name).items] == [user_id]
    with Keycard(calls.client._signed._base_url) as user:
        session_id = user.login(username=name, password=PASSWORD).session_id
    assert [each.id for each in calls.list_user_sessions(user_id).items] == [session_id]
    seen = headers_of(calls.get_user(user_id))["ETag"]
    changed = calls.update_user(user_id, if_match=seen, display_name="Grace")
    assert changed.display_name == "Grace"
    with pytest.raises(Problem) as raised:
        calls.update_user(user_id, if_match=seen, display_name="Ada")
    assert raised.value.slug == slugs.PRECONDITION_FAILED
    assert set(calls.set_user_roles(user_id, roles=["user", "admin"]).roles) == {"user", "admin"}
    assert calls.list_events(user_id=user_id, type_="roles_changed").items[0].user_id == user_id
    calls.revoke_user(user_id)
    calls.delete_user(user_id, if_match=headers_of(calls.get_user(user_id))["ETag"])
    assert calls.create_user(username=new_name(), password=PASSWORD).status == "active"


def one_s_own_account(calls: Calls, admin: str) -> None:
    assert calls.get_me().username == admin
    assert calls.update_me(display_name="Ada").display_name == "Ada"
    assert calls.update_me(display_name=None).display_name is None
    assert calls.reauthenticate(password=PASSWORD).expires_in > 0
    calls.change_email(email=f"{admin}@example.com")
    calls.send_verification()
    assert calls.get_me().pending_email == f"{admin}@example.com"
    calls.withdraw_email_change()
    assert calls.get_me().pending_email is None
    assert {each.type_ for each in calls.list_my_events(limit=50).items} >= {"signed_in", "profile_changed"}
    assert calls.refresh().delivery == "body"
    calls.revoke_other_sessions()
    (session,) = calls.list_sessions().items
    assert calls.change_password(current_password=PASSWORD, new_password=NEW_PASSWORD).session_id == session.id
    assert calls.refresh().session_id == session.id
    calls.logout()
    with pytest.raises(Problem) as raised:
        calls.revoke_session(session.id)
    assert raised.value.slug == slugs.AUTHENTICATION_REQUIRED
    name = new_name()
    calls.register(username=name, password=PASSWORD)
    calls.login(username=name, password=PASSWORD)
    calls.delete_me()
