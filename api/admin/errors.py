"""Problems of administration."""

from ..problems import Problem


class OwnAccount(Problem):
    """Administrators cannot suspend or delete themselves here, or give up their own role: it is too easily done by accident."""

    status = 409
    slug = "own-account"
    title = "This is your own account"
    remedy = "Ask another administrator; your own account is deleted with delete_me."


class RoleNotHeld(Problem):
    """Administrators give and take only roles that they hold. They change the address of, suspend and delete only people whose
    every role they hold."""

    status = 403
    slug = "role-not-held"
    title = "You do not hold this role yourself"
    remedy = "Ask somebody who holds it, or use `keycard users promote` on the command line."
    challenge = 'error="insufficient_scope"'


class TwoPasswords(Problem):
    """The request gives a password and a hash of one. Which of the two is meant cannot be told."""

    status = 409
    slug = "two-passwords"
    title = "A password and a hash at once"
    remedy = "Send one of `password` and `password_hash`."
