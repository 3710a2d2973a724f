"""Problems of people and passwords."""

from ..problems import Problem


class UsernameTaken(Problem):
    """Somebody has this username already, or it is reserved. Names are compared without regard to case. Usernames are public;
    e-mail addresses are not, and a taken one is never revealed."""

    status = 409
    slug = "username-taken"
    title = "The username is taken"
    remedy = "Choose another username."


class PasswordRefused(Problem):
    """The new password satisfies the written rules, but it is common, easy to guess, known from a data breach, or made of the
    account's own name or address. The detail of its error says which."""

    status = 409
    slug = "password-refused"
    title = "The password is too easy to guess"
    remedy = "Choose words that have nothing to do with each other, or with you."


class WrongPassword(Problem):
    """The caller is signed in, and the password they gave to confirm it is not theirs. The token is still good."""

    status = 403
    slug = "wrong-password"
    title = "The password is wrong"
    remedy = "Try the password again; there is no need to sign in again."


class AccountSuspended(Problem):
    """The password is right, and an administrator has suspended the account."""

    status = 403
    slug = "account-suspended"
    title = "The account is suspended"
    remedy = "Ask an administrator."


class NoSuchUser(Problem):
    """There is no user with this id."""

    status = 404
    slug = "no-such-user"
    title = "No such user"
    remedy = "Look the id up in the list of users."
