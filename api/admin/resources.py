"""Administration of users."""

import uuid
from typing import Any

from flask.views import MethodView

from .. import audit, sessions
from ..access import ADMIN, Identity, LastAdmin
from ..accounts import revoke_everything
from ..accounts.errors import EmailTaken, NothingToVerify
from ..http import Blueprint, PageQuery, link, preconditions, role
from ..problems import ServiceUnavailable
from ..sessions import SessionPageSchema
from ..sessions.resources import LINK
from ..users import NoSuchUser, PasswordRefused, UsernameTaken
from . import users
from .errors import OwnAccount, RoleNotHeld, TwoPasswords
from .schemas import AdminUserSchema, NewUser, RolesRequest, UserChange, UserPageSchema, UserQuery

blp = Blueprint("admin", __name__, url_prefix="/v1/admin", description="Administration; requires the role `admin`.")
THIS_USER = {"user_id": "$response.body#/id"}
USER_ID = {"in": "path", "name": "user_id", "description": "The `id` of the user."}
ETAG = {"ETag": {"$ref": "#/components/headers/ETag"}}
CREATED = {**ETAG, "Location": {"$ref": "#/components/headers/Location"}}
NEW_USER = {"username": "grace", "password": "Correct-Horse-7", "email": "grace@example.com", "roles": ["user"]}
WITH_ETAG = {"user_id": "$response.body#/id", "If-Match": "$response.header.ETag"}


def _with_etag(user: Identity) -> tuple[Identity, dict[str, str]]:
    return user, {"ETag": f'"{user.version}"'}


@blp.route("/users")
class Users(MethodView):
    @blp.operation("list_users", role(ADMIN))
    @blp.arguments(UserQuery, location="query")
    @blp.response(200, UserPageSchema, description="A page of users.", headers=LINK)
    @blp.links(user=link("get_user", "Read a user.", user_id="$response.body#/items/0/id"))
    def get(self, query: dict[str, Any]) -> Any:
        """List users

        Newest first. Filters are combined: a user must match all of them.
        """
        return users.list_users(**query)

    @blp.operation("create_user", role(ADMIN, fresh=True))
    @blp.arguments(NewUser, example=NEW_USER)
    @blp.response(201, AdminUserSchema, description="The new user.", headers=CREATED)
    @blp.links(
        user=link("get_user", "Read the user.", **THIS_USER),
        update=link("update_user", "Change the user.", **WITH_ETAG),
        delete=link("delete_user", "Delete the user.", **WITH_ETAG),
    )
    @blp.problems(UsernameTaken, PasswordRefused, TwoPasswords, EmailTaken, NothingToVerify, RoleNotHeld, ServiceUnavailable)
    def post(self, body: dict[str, Any]) -> Any:
        """Create a user

        With a password, with a password hash from another application, or with neither: then the user sets a password with
        *forgot password*. A hash from another application is replaced by argon2id at the first sign-in.
        """
        user, headers = _with_etag(users.create_user(sessions.current(), **body))
        return user, 201, {**headers, "Location": f"/v1/admin/users/{user.id}"}


@blp.route("/users/<uuid:user_id>", parameters=[USER_ID])
class UserById(MethodView):
    @blp.operation("get_user", role(ADMIN))
    @blp.response(200, AdminUserSchema, description="The user.", headers=ETAG)
    @blp.links(
        roles=link("set_user_roles", "Set their roles.", **THIS_USER),
        sessions=link("list_user_sessions", "List their sessions.", **THIS_USER),
        revoke=link("revoke_user", "Revoke all their tokens.", **THIS_USER),
        update=link("update_user", "Change the user.", **WITH_ETAG),
        delete=link("delete_user", "Delete the user.", **WITH_ETAG),
    )
    @blp.problems(NoSuchUser)
    def get(self, user_id: uuid.UUID) -> Any:
        """Get a user

        The `ETag` is the version of the user; send it as `If-Match` with a change.
        """
        return _with_etag(users.get_user(user_id))

    @blp.operation("update_user", role(ADMIN, fresh=True))
    @blp.conditional
    @blp.arguments(UserChange)
    @blp.response(200, AdminUserSchema, description="The user after the change.", headers=ETAG)
    @blp.links(user=link("get_user", "Read the user.", **THIS_USER))
    @blp.problems(NoSuchUser, LastAdmin, OwnAccount, RoleNotHeld, EmailTaken, NothingToVerify)
    def patch(self, changes: dict[str, Any], user_id: uuid.UUID) -> Any:
        """Change a user

        Members that you leave out do not change. A suspension takes effect at once: every session ends, and mailed tokens and a
        pending address are withdrawn. When the address changes, the former address gets a mail. You cannot suspend yourself or
        the last administrator. You cannot suspend, or change the address of, a user who holds a role that you do not hold.
        """
        version = preconditions.wanted_version()
        return _with_etag(users.update_user(sessions.current(), user_id, version=version, **changes))

    @blp.operation("delete_user", role(ADMIN, fresh=True))
    @blp.conditional
    @blp.response(204, description="The account is gone.")
    @blp.problems(NoSuchUser, LastAdmin, OwnAccount, RoleNotHeld)
    def delete(self, user_id: uuid.UUID) -> None:
        """Delete a user

        Deletes the same things as `delete_me`, at once; this cannot be undone. You cannot delete a user who holds a role that you
        do not hold. Delete your own account with `delete_me`.
        """
        users.delete_user(sessions.current(), user_id, version=preconditions.wanted_version())


@blp.route("/users/<uuid:user_id>/roles", parameters=[USER_ID])
class UserRoles(MethodView):
    @blp.operation("set_user_roles", role(ADMIN, fresh=True))
    @blp.arguments(RolesRequest)
    @blp.response(200, AdminUserSchema, description="The user with the new roles.", headers=ETAG)
    @blp.links(user=link("get_user", "Read the user.", **THIS_USER))
    @blp.problems(NoSuchUser, LastAdmin, OwnAccount, RoleNotHeld)
    def put(self, body: dict[str, Any], user_id: uuid.UUID) -> Any:
        """Set the roles of a user

        Takes effect at once: access tokens with the old roles stop working, and a refresh returns one with the new roles. You
        cannot give or take a role that you do not hold, or take the role `admin` from yourself. The user gets a mail.
        """
        return _with_etag(users.change_roles(sessions.current(), user_id, body["roles"]))


@blp.route("/users/<uuid:user_id>/revoke", parameters=[USER_ID])
class Revocation(MethodView):
    @blp.operation("revoke_user", role(ADMIN, fresh=True))
    @blp.response(204, description="Everything issued until now is dead.")
    @blp.problems(NoSuchUser)
    def post(self, user_id: uuid.UUID) -> None:
        """Revoke all tokens of a user

        Every token that was issued until now stops working, and mailed tokens and a pending address are withdrawn. The user can
        sign in again at once, and gets a mail.
        """
        revoke_everything(user_id, admin=sessions.current())


@blp.route("/users/<uuid:user_id>/sessions", parameters=[USER_ID])
class UserSessions(MethodView):
    @blp.operation("list_user_sessions", role(ADMIN))
    @blp.arguments(PageQuery, location="query")
    @blp.response(200, SessionPageSchema, description="A page of the user's open sessions.", headers=LINK)
    @blp.problems(NoSuchUser)
    def get(self, page: dict[str, Any], user_id: uuid.UUID) -> Any:
        """List the sessions of a user

        The list that the user sees with `list_sessions`. `current` marks the session of this request, if it is in the list.
        """
        users.get_user(user_id)
        return sessions.list_live(user_id, current=sessions.current().session_id, **page)


@blp.route("/events")
class Events(MethodView):
    @blp.operation("list_events", role(ADMIN))
    @blp.arguments(audit.EventQuery, location="query")
    @blp.response(200, audit.EventPageSchema, description="A page of the audit log.", headers=LINK)
    def get(self, query: dict[str, Any]) -> Any:
        """List what happened to accounts

        Newest first. Filters are combined: an event must match all of them.
        """
        return audit.list_events(**query)
