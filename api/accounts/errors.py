"""Problems of mail-borne stories."""

from ..problems import Problem


class OneTimeTokenRefused(Problem):
    """The token from the mail is unknown, was used already, has expired, or what it proves has changed meanwhile. Which of these
    is not said."""

    status = 403
    slug = "one-time-token-refused"
    title = "The token cannot be used"
    remedy = "Ask for a new mail and use the newest one."
    challenge = 'error="invalid_token"'


class ConfirmationRequired(Problem):
    """A change of the e-mail address is finished by the session that asked for it, or with the password. The request has neither.
    The token can still be used."""

    status = 403
    slug = "confirmation-required"
    title = "The change must be confirmed"
    remedy = "Send the request with the session that asked for the change, or add the password."


class EmailTaken(Problem):
    """Another account has verified this address. Said only to a person who has verified it too, and to administrators."""

    status = 409
    slug = "email-taken"
    title = "The e-mail address belongs to another account"
    remedy = "Sign in to that account, or reset its password."


class NothingToVerify(Problem):
    """The account has no e-mail address, or has verified it already."""

    status = 409
    slug = "nothing-to-verify"
    title = "There is no address to verify"
    remedy = "Give an address with PUT /v1/users/me/email."
