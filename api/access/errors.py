"""Problems of roles."""

from ..problems import Problem


class LastAdmin(Problem):
    """The change would leave nobody with the role `admin`, and nobody could undo it through the API."""

    status = 409
    slug = "last-admin"
    title = "This is the last administrator"
    remedy = "Give the role admin to somebody else first."
