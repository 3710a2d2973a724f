# syntax=docker/dockerfile:1
# The image of Keycard: docker build -t keycard .
#
# It runs as user 10001, writes nothing outside /tmp, and listens on 8000. Settings are environment variables (README, "Settings").

FROM python:3.13.14-slim-trixie AS build

# A compiler, for the second build of argon2. It stays in this stage. (Its version is the distribution's.)
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
RUN python -m venv /opt/keycard
ENV PATH=/opt/keycard/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# What changes rarely comes first, so that a change of the code does not install every dependency anew. A version is all that setuptools
# needs of the code to tell them.
COPY pyproject.toml README.md LICENSE ./
COPY api/version.py api/__init__.py api/
RUN pip install .
COPY deploy/build-argon2.sh deploy/
RUN deploy/build-argon2.sh /opt/keycard-avx2 python

COPY api api
# --no-deps: they are there. Compiled here, because the final file system may be read-only.
RUN pip install --no-deps --force-reinstall . \
    && pip uninstall -y pip \
    && python -m compileall -q /opt/keycard/lib /opt/keycard-avx2


FROM python:3.13.14-slim-trixie

# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin keycard

COPY --from=build /opt/keycard /opt/keycard
COPY --from=build /opt/keycard-avx2 /opt/keycard-avx2
COPY --chmod=755 deploy/entrypoint.sh deploy/certificate.sh /usr/local/bin/

ENV PATH=/opt/keycard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001:10001
WORKDIR /tmp
EXPOSE 8000

# Whether the process answers. Whether it can work (database, Redis, migrations) is /health/ready, which is for balancers: a restart
# would not bring a database back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/live'); exit(c.getresponse().status != 200)"]

# Exec form: the entry point replaces itself by the command, which so gets the SIGTERM of `docker stop` and finishes what it is doing.
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["keycard", "serve", "--host", "0.0.0.0", "--port", "8000"]
