"""Registration, my profile, my password."""

from functools import lru_cache
from typing import Any

from flask import jsonify
from flask.views import MethodView

from .. import audit
from ..access import Identity, LastAdmin
from ..application import Response
from ..http import Blueprint, PageQuery, access_token, fresh_access_token, limits, link, public
from ..http.guards import TokenRevoked
from ..problems import ServiceUnavailable
from ..sessions import current
from ..sessions.resources import LINK
from ..users import NoSuchUser, PasswordRefused, UsernameTaken, WrongPassword
from ..users.schemas import UserSchema
from . import deletion, email_verification, password_change, password_reset, profile, registration
from .errors import EmailTaken, NothingToVerify, OneTimeTokenRefused
from .schemas import EmailRequest, EmailVerification, PasswordChange, PasswordReset, ProfileChange, RegisterRequest

joining = Blueprint("registration", __name__, url_prefix="/v1/auth", description="")
me = Blueprint("users", __name__, url_prefix="/v1/users/me", description="Your own account.")
_user = UserSchema()
SIGN_IN = {"username": "$request.body#/username", "password": "$request.body#/password"}
LOCATION = {"Location": {"$ref": "#/components/headers/Location"}}


@joining.route("/register", tags=["auth"])
class Register(MethodView):
    @joining.operation("register", public)
    @joining.limited(limits.REGISTER)
    @joining.arguments(RegisterRequest)
    @joining.response(201, UserSchema, description="Registered.", headers=LOCATION)
    @joining.problems(UsernameTaken, PasswordRefused, ServiceUnavailable)
    @joining.links(login=link("login", "Sign in with the new account.", body=SIGN_IN))
    def post(self, account: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
        """Register

        Creates an account; it is not signed in by this. Usernames are public and unique. Whether an e-mail address is in use by
        somebody else is never told.
        """
        return registration.register(**account), 201, {"Location": "/v1/users/me"}


@joining.route("/email/verify", tags=["auth"])
class EmailProof(MethodView):
    @joining.operation("verify_email", public)
    @joining.arguments(EmailVerification)
    @joining.response(204, description="The address is proven.")
    @joining.problems(OneTimeTokenRefused, EmailTaken, ServiceUnavailable)
    def post(self, proof: dict[str, Any]) -> None:
        """Prove an e-mail address

        Uses up the token that was mailed to it. From then on the address belongs to the account: it can sign in with it, and
        reset its password through it.
        """
        email_verification.verify(proof["token"])


@joining.route("/password/forgot", tags=["auth"])
class ForgottenPassword(MethodView):
    @joining.operation("forgot_password", public)
    @joining.limited(limits.MAIL)
    @joining.arguments(EmailRequest)
    @joining.response(202, description="If somebody has proven this address, a mail is on its way.")
    @joining.problems(ServiceUnavailable)
    @joining.links(reset=link("reset_password", "Set a new password, with the token from the mail."))
    def post(self, body: dict[str, Any]) -> None:
        """Ask for a mail that resets the password

        The answer is the same, after the same work, whether anybody has proven the address or not.
        """
        password_reset.ask(body["email"])


@joining.route("/password/reset", tags=["auth"])
class ResetPassword(MethodView):
    @joining.operation("reset_password", public)
    @joining.arguments(PasswordReset)
    @joining.response(204, description="The password has been set, and every session has ended.")
    @joining.problems(OneTimeTokenRefused, PasswordRefused, ServiceUnavailable)
    def post(self, body: dict[str, Any]) -> None:
        """Reset a forgotten password

        Uses up the token that was mailed to the proven address. Every session ends, and nobody is signed in by this: sign in with
        the new password.
        """
        password_reset.reset(**body)


@me.route("")
class Me(MethodView):
    @me.operation("get_me", access_token)
    @me.response(200, UserSchema, description="Your account.")
    @me.links(update=link("update_me", "Change your profile."))
    def get(self) -> Any:
        """Get your account

        Your name, your roles and your profile, as they are now.
        """
        identity = current().identity
        return Response(_shown(identity, identity.status), mimetype="application/json")

    @me.operation("update_me", access_token)
    @me.arguments(ProfileChange)
    @me.response(200, UserSchema, description="Your account after the change.")
    def patch(self, changes: dict[str, Any]) -> Any:
        """Change your profile

        Members that are left out stay as they are; `null` empties one.
        """
        return profile.update(current(), changes)

    @me.operation("delete_me", fresh_access_token)
    @me.response(204, description="The account is gone.")
    @me.problems(LastAdmin)
    def delete(self) -> None:
        """Delete your account

        At once and for good: sessions, profile, addresses and roles. The log keeps what happened under the bare id, and nobody
        can register your username again.
        """
        try:
            deletion.delete(current().identity.id, actor=current())
        except NoSuchUser:
            raise TokenRevoked from None  # deleted by another request since the token was looked at


@lru_cache(maxsize=1024)
def _shown(identity: Identity, _status: str) -> bytes:
    """The body of `get_me`. Whoever asks mostly asks again and has not changed; their status may, because time passes."""
    return jsonify(_user.dump(identity)).get_data()


@me.route("/password")
class Password(MethodView):
    @me.operation("change_password", access_token)
    @me.limited(limits.PASSWORD)
    @me.arguments(PasswordChange)
    @me.response(204, description="The password has been changed.")
    @me.problems(WrongPassword, PasswordRefused)
    def put(self, passwords: dict[str, Any]) -> None:
        """Change your password

        Every other session ends at once; the one of this request stays.
        """
        password_change.change(current(), **passwords)


@me.route("/email")
class EmailAddress(MethodView):
    @me.operation("change_email", fresh_access_token)
    @me.limited(limits.MAIL)
    @me.arguments(EmailRequest)
    @me.response(202, description="A mail is on its way to the new address.")
    def put(self, body: dict[str, Any]) -> None:
        """Change your e-mail address

        Takes effect when the new address is proven with the token that is mailed there; the old one gets a notice at once.
        """
        email_verification.change(current(), body["email"])


@me.route("/email/verification")
class Verification(MethodView):
    @me.operation("send_verification", access_token)
    @me.limited(limits.MAIL)
    @me.response(202, description="A mail is on its way.")
    @me.problems(NothingToVerify)
    def post(self) -> None:
        """Mail a new token that proves your address

        To the address that waits for its proof.
        """
        email_verification.send_again(current())


@me.route("/events")
class MyEvents(MethodView):
    @me.operation("list_my_events", access_token)
    @me.arguments(PageQuery, location="query")
    @me.response(200, audit.EventPageSchema, description="A page of what happened to your account.", headers=LINK)
    def get(self, page: dict[str, Any]) -> Any:
        """List what happened to your account

        Sign-ins, failures, changes: newest first, with address and browser where they are known.
        """
        return audit.list_own_events(current().identity.id, **page)
