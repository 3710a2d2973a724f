"""Problems of readiness."""

from ..problems import Problem


class NotReady(Problem):
    """The process runs but cannot serve: something that it needs is away, or migrations are missing."""

    status = 503
    slug = "not-ready"
    title = "The service is not ready"
    remedy = "Send requests to another instance. The operator finds the cause in the log, and at `/ready` of the metrics port."
    retry_after = 5
