"""Problems of signing in and of sessions."""

from ..problems import Problem


class InvalidCredentials(Problem):
    """The name and the password do not belong together. Whether the name exists is not said, and the answer takes the
    same work either way."""

    status = 401
    slug = "invalid-credentials"
    title = "The name or the password is wrong"
    remedy = "Check both and try again."


class SessionEnded(Problem):
    """The session of this refresh token is over: signed out, ended from another device, by an administrator or by a
    password change, or older than a session may become."""

    status = 401
    slug = "session-ended"
    title = "The session has ended"
    remedy = "Sign in again."
    challenge = 'error="invalid_token", error_description="session ended"'


class RefreshTokenReused(Problem):
    """A refresh token that was already exchanged came back. Either a thief or the owner holds a stolen copy, so the
    whole session was ended, access tokens included (RFC 9700, section 4.14.2)."""

    status = 401
    slug = "refresh-token-reused"
    title = "The refresh token was used before"
    remedy = "Sign in again. Keep only the newest refresh token, and let one request at a time refresh it."
    challenge = 'error="invalid_token", error_description="reused"'
    commits = True


class NoSuchSession(Problem):
    """You have no open session with this id."""

    status = 404
    slug = "no-such-session"
    title = "No such session"
    remedy = "List your sessions; one that has ended is not listed."
