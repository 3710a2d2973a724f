"""Registration, what mailed tokens do, my account."""

from functools import lru_cache
from typing import Any

from flask import jsonify
from flask.views import MethodView

from .. import audit
from ..access import Identity, LastAdmin
from ..application import Response
from ..http import Blueprint, PageQuery, access_token, fresh_access_token, limits, link, optional_access_token, public
from ..http.guards import TokenRevoked
from ..problems import ServiceUnavailable, TooManyRequests
from ..sessions import TokenPairSchema, current, current_or_none, deliver
from ..sessions.resources import LINK, SET_COOKIE
from ..users import NoSuchUser, PasswordRefused, UsernameTaken, WrongPassword
from ..users.schemas import UserSchema
from . import deletion, email_change, email_verification, mailed_tokens, password_change, password_reset, profile, registration
from .errors import ConfirmationRequired, EmailTaken, NothingToVerify, OneTimeTokenRefused
from .schemas import (
    EmailRequest,
    EmailVerification,
    MailedTokenRequest,
    MailedTokenSchema,
    PasswordChange,
    PasswordReset,
    ProfileChange,
    RegisterRequest,
)

joining = Blueprint("registration", __name__, url_prefix="/v1/auth", description="")
mailed = Blueprint("mailed", __name__, url_prefix="/v1/auth", description="")
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
        return registration.sign_up(**account), 201, {"Location": "/v1/users/me"}


@mailed.route("/email/verify", tags=["auth"])
class EmailProof(MethodView):
    @mailed.operation("verify_email", optional_access_token)
    @mailed.arguments(EmailVerification)
    @mailed.response(204, description="The address is verified.")
    @mailed.problems(OneTimeTokenRefused, ConfirmationRequired, WrongPassword, EmailTaken, TooManyRequests, ServiceUnavailable)
    def post(self, proof: dict[str, Any]) -> None:
        """Verify an e-mail address

        Uses up the token that was mailed to it. From then on the address belongs to the account, which can sign in with it and
        reset its password through it. A change of address is finished by the session that asked for it, or with the password.
        """
        email_verification.verify(**proof, principal=current_or_none())


@mailed.route("/password/forgot", tags=["auth"])
class ForgottenPassword(MethodView):
    @mailed.operation("forgot_password", public)
    @mailed.limited(limits.MAIL)
    @mailed.arguments(EmailRequest)
    @mailed.response(202, description="If somebody has verified this address, a mail is on its way.")
    @mailed.problems(ServiceUnavailable)
    @mailed.links(reset=link("reset_password", "Set a new password, with the token from the mail."))
    def post(self, body: dict[str, Any]) -> None:
        """Ask for a mail that resets the password

        The answer is the same, after the same work, whether anybody has verified the address or not.
        """
        password_reset.ask(body["email"])


@mailed.route("/password/reset", tags=["auth"])
class ResetPassword(MethodView):
    @mailed.operation("reset_password", public)
    @mailed.arguments(PasswordReset)
    @mailed.response(204, description="The password has been set, and every session has ended.")
    @mailed.problems(OneTimeTokenRefused, PasswordRefused, TooManyRequests, ServiceUnavailable)
    def post(self, body: dict[str, Any]) -> None:
        """Reset a forgotten password

        Uses up the token that was mailed to the verified address. Every session ends, everything that waits in the account is
        withdrawn (mailed tokens, a pending address), and nobody is signed in by this: sign in with the new password.
        """
        password_reset.reset(**body)


@mailed.route("/email/undo", tags=["auth"])
class EmailUndo(MethodView):
    @mailed.operation("undo_email_change", public)
    @mailed.arguments(MailedTokenRequest)
    @mailed.response(204, description="The old address belongs to the account again, and every session has ended.")
    @mailed.problems(OneTimeTokenRefused, EmailTaken, TooManyRequests, ServiceUnavailable)
    def post(self, body: dict[str, Any]) -> None:
        """Undo a change of the e-mail address

        With the token from the notice to the old address, for 7 days and without signing in. Every session ends. The password
        stays: reset it afterwards if somebody else knows it.
        """
        email_change.undo(body["token"])


@mailed.route("/mailed-token", tags=["auth"])
class MailedToken(MethodView):
    @mailed.operation("describe_mailed_token", public)
    @mailed.arguments(MailedTokenRequest)
    @mailed.response(200, MailedTokenSchema, description="What it is for.")
    @mailed.problems(OneTimeTokenRefused, TooManyRequests, ServiceUnavailable)
    @mailed.links(
        verify=link("verify_email", "Use it to verify the address."),
        reset=link("reset_password", "Use it to set a new password."),
        undo=link("undo_email_change", "Use it to undo a change of address."),
    )
    def post(self, body: dict[str, Any]) -> Any:
        """Ask what a mailed token is for

        For the page behind a mailed link: it names the account before somebody confirms. The token is not used up.
        """
        return mailed_tokens.describe(body["token"])


@me.route("")
class Me(MethodView):
    @me.operation("get_me", access_token)
    @me.response(200, UserSchema, description="Your account.")
    @me.links(update=link("update_me", "Change your profile."), password=link("change_password", "Change your password."))
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

        At once and for good: sessions, profile, addresses and roles. The audit log keeps what happened under the bare id, and for
        30 days (unless configured otherwise) from where. Nobody can register your username again. A mail confirms the deletion.
        """
        try:
            deletion.delete(current().identity.id, actor=current())
        except NoSuchUser:
            raise TokenRevoked from None  # deleted by another request since the token was looked at


@lru_cache(maxsize=1024)
def _shown(identity: Identity, _status: str) -> bytes:
    """The body of `get_me`. Whoever asks mostly asks again and has not changed; their status may, because time passes."""
    return jsonify(_user.dump(identity)).get_data()


@me.route("/email")
class EmailAddress(MethodView):
    @me.operation("change_email", fresh_access_token)
    @me.limited(limits.MAIL)
    @me.arguments(EmailRequest)
    @me.response(202, description="A mail is on its way to the new address.")
    def put(self, body: dict[str, Any]) -> None:
        """Change your e-mail address

        Takes effect when the new address is verified with the token that is mailed there, by this session or with the password.
        The old address gets a notice at once; its link undoes the change for 7 days. `pending_email` shows what is asked for.
        """
        email_change.ask(current(), body["email"])


@me.route("/email/verification")
class Verification(MethodView):
    @me.operation("send_verification", access_token)
    @me.limited(limits.MAIL)
    @me.response(202, description="A mail is on its way.")
    @me.problems(NothingToVerify)
    def post(self) -> None:
        """Mail a new token that verifies your address

        To the address that waits for its verification. Tokens from earlier mails are dead.
        """
        email_verification.send_again(current())


@me.route("/email/pending")
class PendingEmail(MethodView):
    @me.operation("withdraw_email_change", access_token)
    @me.response(204, description="No other address is asked for.")
    def delete(self) -> None:
        """Withdraw a change of your e-mail address

        The address that waits for its verification is forgotten. None is no error.
        """
        email_change.withdraw(current())


@me.route("/password")
class Password(MethodView):
    @me.operation("change_password", access_token)
    @me.limited(limits.PASSWORD)
    @me.arguments(PasswordChange)
    @me.response(200, TokenPairSchema, description="The password has been changed; the new pair.", headers=SET_COOKIE)
    @me.problems(WrongPassword, PasswordRefused, TooManyRequests)
    @me.links(me=link("get_me", "Read your account."))
    def put(self, passwords: dict[str, Any]) -> dict[str, Any]:
        """Change your password

        Renews this session: use the pair in the answer, every token from before is dead. Every other session ends, and everything
        that waits in the account is withdrawn (mailed tokens, a pending address).
        """
        return deliver(password_change.change(current(), **passwords))


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
