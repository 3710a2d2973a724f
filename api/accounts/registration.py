"""Creating an account."""

from .. import access, audit, outbox, users
from ..access import Identity
from ..database import transaction
from ..users import UsernameTaken


def register(
    *,
    username: str,
    password: str,
    email: str | None = None,
    display_name: str | None = None,
    roles: tuple[str, ...] = (access.USER,),
) -> Identity:
    """Create an account with the given roles.

    A taken e-mail address changes nothing: an address belongs to nobody before it is proven, and a mail goes out either way.
    Raises UsernameTaken and PasswordRefused.
    """
    users.check_policy(password, username, pointer="/password")
    if users.find_credentials(username):
        # Usernames are public, so this saves a hash; the unique constraint still decides.
        raise UsernameTaken(errors=[{"pointer": "/username", "detail": "Taken."}])
    password_hash = users.hasher().hash(password)
    with transaction() as database:
        user = users.create(username=username, password_hash=password_hash, email=email, display_name=display_name)
        for role in roles:
            access.grant(user.id, role)
        audit.record("registered", user.id, actor_id=user.id)
        if email:
            outbox.enqueue("verify_email", email, user_id=user.id)
        database.flush()
        return Identity.of(database.execute(access.identities().where(users.User.id == user.id)).one())
