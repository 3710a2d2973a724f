"""Sign in, refresh, sign out; who am I; my sessions."""

import uuid
from typing import Any

from flask.views import MethodView

from ..http import (
    Blueprint,
    PageQuery,
    access_token,
    guards,
    limits,
    link,
    optional_access_token,
    public,
    refresh_token,
    session_token,
)
from ..problems import ServiceUnavailable, TooManyRequests
from ..users import AccountSuspended, WrongPassword
from . import cookies, ending, login, logout, refresh
from .errors import InvalidCredentials, NoSuchSession, RefreshTokenReused, SessionEnded
from .listing import list_live
from .principal import current, current_or_none
from .schemas import (
    LoginRequest,
    ReauthenticateRequest,
    SessionPageSchema,
    TokenPairSchema,
    WhoAmI,
)

auth = Blueprint("auth", __name__, url_prefix="/v1/auth", description="Register, sign in, refresh, sign out.")
mine = Blueprint(
    "sessions", __name__, url_prefix="/v1/users/me/sessions", description="Where you are signed in: list and end your sessions."
)
SESSION_ID = {"in": "path", "name": "session_id", "description": "The `id` of the session, which is the `sid` of its tokens."}
SET_COOKIE = {"Set-Cookie": {"$ref": "#/components/headers/SetCookie"}}
LINK = {"Link": {"$ref": "#/components/headers/Link"}}
GO_ON = {
    "me": link("get_me", "Read your account."),
    "session": link("get_session", "Ask who is calling."),
    "sessions": link("list_sessions", "List your sessions."),
    "refresh": link("refresh", "Exchange the refresh token."),
    "logout": link("logout", "Sign out."),
}


@auth.route("/login")
class Login(MethodView):
    @auth.operation("login", public)
    @auth.limited(limits.LOGIN)
    @auth.arguments(LoginRequest)
    @auth.response(200, TokenPairSchema, description="Signed in.", headers=SET_COOKIE)
    @auth.problems(InvalidCredentials, AccountSuspended, ServiceUnavailable)
    @auth.links(**GO_ON)
    def post(self, credentials: dict[str, Any]) -> dict[str, Any]:
        """Sign in

        Opens a session and returns its first pair of tokens. An unknown name and a wrong password get the same answer.
        Choose the `delivery`: `body` for servers and apps, `hybrid` for single-page apps, `cookie` for pages served by a server.
        If the request carries the cookie of another session, that session ends.
        """
        pair = login.sign_in(credentials["username"], credentials["password"], credentials["delivery"])
        former = guards.claims_of_cookie()
        if former:
            ending.replace(former)
        return cookies.deliver(pair)


@auth.route("/refresh")
class Refresh(MethodView):
    @auth.operation("refresh", refresh_token)
    @auth.response(200, TokenPairSchema, description="Exchanged.", headers=SET_COOKIE)
    @auth.problems(RefreshTokenReused, SessionEnded, guards.TokenRevoked)
    @auth.links(**GO_ON)
    def post(self) -> dict[str, Any]:
        """Exchange a refresh token for a new pair

        A refresh token works once. If you send it again within the grace window (10 seconds by default), you get the same new
        pair again, so a lost response or a second tab signs nobody out. If it is sent later, or after the new one was used, it
        counts as stolen: the whole session ends, access tokens included. A refresh token that was delivered in a cookie is
        accepted only from the cookie.
        """
        pair = refresh.rotate(guards.header(), guards.claims(), from_cookie=guards.presented_in_cookie())
        return cookies.deliver(pair)


@auth.route("/logout")
class Logout(MethodView):
    @auth.operation("logout", session_token)
    @auth.response(204, description="Signed out.", headers=SET_COOKIE)
    def delete(self) -> None:
        """Sign out

        Ends the session of the access or refresh token that you send. All its tokens stop working at once. Signing out twice is
        no error. Cookies are cleared.
        """
        logout.sign_out(guards.header(), guards.claims(), from_cookie=guards.presented_in_cookie())
        cookies.clear()


@auth.route("/session")
class WhoIsCalling(MethodView):
    @auth.operation("get_session", optional_access_token)
    @auth.response(200, WhoAmI, description="Who is calling, if anybody.")
    def get(self) -> dict[str, Any]:
        """Ask who is calling

        Works with and without a token. A token that is sent must be valid; otherwise the answer is 401.
        """
        caller = current_or_none()
        if caller is None:
            return {"authenticated": False}
        return {"authenticated": True, "user": caller.identity, "session": caller.session}


@auth.route("/reauthenticate")
class Reauthenticate(MethodView):
    @auth.operation("reauthenticate", access_token)
    @auth.limited(limits.PASSWORD)
    @auth.arguments(ReauthenticateRequest)
    @auth.response(200, TokenPairSchema, description="The session is renewed; the new pair.", headers=SET_COOKIE)
    @auth.links(me=link("get_me", "Read your account."))
    @auth.problems(WrongPassword, TooManyRequests)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Give the password again

        Renews the session. The new access token counts as fresh, which sensitive operations require. Every token that the session
        had before stops working, so store both tokens of the answer.
        """
        return cookies.deliver(login.reauthenticate(current(), body["password"]))


@mine.route("")
class Sessions(MethodView):
    @mine.operation("list_sessions", access_token)
    @mine.arguments(PageQuery, location="query")
    @mine.response(200, SessionPageSchema, description="A page of your open sessions.", headers=LINK)
    @mine.links(
        revoke=link("revoke_session", "End a session.", session_id="$response.body#/items/0/id"),
        revoke_others=link("revoke_other_sessions", "End every session but this one."),
    )
    def get(self, page: dict[str, Any]) -> Any:
        """List your sessions

        One for each sign-in that has not ended, newest first. `current` marks the session of this request.
        """
        me = current()
        return list_live(me.identity.id, current=me.session_id, **page)

    @mine.operation("revoke_other_sessions", access_token)
    @mine.response(204, description="Every other session has ended.")
    def delete(self) -> None:
        """End every other session

        Only the session of this request stays open.
        """
        ending.end_others(current())


@mine.route("/<uuid:session_id>", parameters=[SESSION_ID])
class SessionById(MethodView):
    @mine.operation("revoke_session", access_token)
    @mine.response(204, description="The session has ended.")
    @mine.problems(NoSuchSession)
    def delete(self, session_id: uuid.UUID) -> None:
        """End one of your sessions

        Its tokens stop working at once. The session of another person gets the same answer as one that does not exist.
        """
        ending.end_one(current(), session_id)
