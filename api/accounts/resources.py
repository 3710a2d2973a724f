"""Registration, what mailed tokens do, my account."""

from functools import lru_cache
from typing import Any

from flask import Response, jsonify
from flask.views import MethodView

from .. import audit
from ..access import Identity, LastAdmin
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

        Creates an account and does not sign in. Usernames are public and unique. The answer does not reveal whether another
        account uses the e-mail address.
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

        Takes the token that was mailed to the address; it works once. Afterwards the account can sign in with the address and
        reset its password through it. A change of address also needs an access token of the session that asked for it, or the
        password.
        """
        email_verification.verify(**proof, principal=current_or_none())


@mailed.route("/password/forgot", tags=["auth"])
class ForgottenPassword(MethodView):
    @mailed.operation("forgot_password", public)
    @mailed.limited(limits.MAIL)
    @mailed.arguments(EmailRequest)
    @mailed.response(202, description="A mail is on its way, if an account has verified this address.")
    @mailed.problems(ServiceUnavailable)
    @mailed.links(reset=link("reset_password", "Set a new password, with the token from the mail."))
    def post(self, body: dict[str, Any]) -> None:
        """Ask for a mail that resets the password

        The answer and the work are the same whether an account has verified the address or not.
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

        Takes the token that was mailed to the verified address; it works once. Every session ends, and mailed tokens and a
        pending address are withdrawn. It does not sign in: sign in with the new password afterwards.
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

        Takes the token that was mailed to the old address, for 7 days, without signing in. Every session ends. The password stays
        the same: reset it afterwards if somebody else knows it.
        """
        email_change.undo(body["token"])


@mailed.route("/mailed-token", tags=["auth"])
class MailedToken(MethodView):
    @mailed.operation("describe_mailed_token", public)
    @mailed.arguments(MailedTokenRequest)
    @mailed.response(200, MailedTokenSchema, description="What the token is for.")
    @mailed.problems(OneTimeTokenRefused, TooManyRequests, ServiceUnavailable)
    @mailed.links(
        verify=link("verify_email", "Use it to verify the address."),
        reset=link("reset_password", "Use it to set a new password."),
        undo=link("undo_email_change", "Use it to undo a change of address."),
    )
    def post(self, body: dict[str, Any]) -> Any:
        """Ask what a mailed token is for

        For the page behind a mailed link, which shows the account before the person confirms. The token stays usable.
        """
        return mailed_tokens.describe(body["token"])


@me.route("")
class Me(MethodView):
    @me.operation("get_me", access_token)
    @me.response(200, UserSchema, description="Your account.")
    @me.links(update=link("update_me", "Change your profile."), password=link("change_password", "Change your password."))
    def get(self) -> Any:
        """Get your account

        Your current username, roles and profile.
        """
        identity = current().identity
        return Response(_shown(identity, identity.status), mimetype="application/json")

    @me.operation("update_me", access_token)
    @me.arguments(ProfileChange)
    @me.response(200, UserSchema, description="Your account after the change.")
    def patch(self, changes: dict[str, Any]) -> Any:
        """Change your profile

        Members that you leave out do not change; `null` clears a member.
        """
        return profile.update(current(), changes)

    @me.operation("delete_me", fresh_access_token)
    @me.response(204, description="The account is gone.")
    @me.problems(LastAdmin)
    def delete(self) -> None:
        """Delete your account

        Deletes sessions, profile, addresses and roles at once; this cannot be undone. The audit log keeps the events with the
        user id alone; IP addresses and user agents in it are removed after 30 days by default. Nobody can register your username
        again. A mail confirms the deletion.
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

        Takes effect when the new address is verified: with the token that is mailed to it, and by this session or with the
        password. Until then `pending_email` is the new address. The old address gets a mail at once, with a link that undoes the
        change for 7 days.
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

        Goes to the pending address, or else to the unverified one. Tokens from earlier mails stop working.
        """
        email_verification.send_again(current())


@me.route("/email/pending")
class PendingEmail(MethodView):
    @me.operation("withdraw_email_change", access_token)
    @me.response(204, description="No change of address is pending.")
    def delete(self) -> None:
        """Withdraw a change of your e-mail address

        Forgets the pending address. It is no error if there is none.
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

        Renews this session: store both tokens of the answer, because the tokens from before stop working. Every other session
        ends, and mailed tokens and a pending address are withdrawn.
        """
        return deliver(password_change.change(current(), **passwords))


@me.route("/events")
class MyEvents(MethodView):
    @me.operation("list_my_events", access_token)
    @me.arguments(PageQuery, location="query")
    @me.response(200, audit.EventPageSchema, description="A page of what happened to your account.", headers=LINK)
    def get(self, page: dict[str, Any]) -> Any:
        """List what happened to your account

        Sign-ins, failed sign-ins and changes, newest first, with IP address and user agent where they are known.
        """
        return audit.list_own_events(current().identity.id, **page)
