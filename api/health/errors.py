"""Problems of readiness."""

from ..problems import Problem


class NotReady(Problem):
    """The process runs but cannot serve: `checks` names the dependency that is away or the migrations that are missing."""

    status = 503
    slug = "not-ready"
    title = "The service is not ready"
    remedy = "Send requests to another instance; the operator finds the cause in `checks`."
    retry_after = 5
