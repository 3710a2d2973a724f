# The image of Keycard: docker build -t keycard .
#
# It runs as user 10001, writes nothing outside /tmp, and listens on 8000. Settings are environment variables (docs/settings.md).
# deploy/pin-images.sh adds a digest to the tag of the base; `tox run -e lock` renews the two lock files.

FROM python:3.13.14-slim-trixie AS base


FROM base AS build

# A compiler, for the second build of argon2. It stays in this stage. (Its version is the distribution's.)
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# Every file that pip downloads has one of the hashes in the lock files. What builds is installed into this stage's own Python; what runs
# is installed into a virtual environment, which is all that the final stage takes.
COPY requirements.lock ./
COPY deploy/build.lock deploy/build-argon2.sh deploy/
RUN pip install --require-hashes --only-binary :all: -r deploy/build.lock \
    && python -m venv --without-pip /opt/keycard \
    && pip --python /opt/keycard/bin/python install --require-hashes --only-binary :all: -r requirements.lock
RUN deploy/build-argon2.sh requirements.lock /opt/keycard-avx2

# The code comes last, so that a change of it does not install everything anew. Compiled here, because the final file system may be
# read-only.
COPY pyproject.toml README.md LICENSE ./
COPY api api
RUN pip wheel --no-index --no-build-isolation --no-deps --wheel-dir dist . \
    && pip --python /opt/keycard/bin/python install --no-index --no-deps dist/*.whl \
    && /opt/keycard/bin/python -m compileall -q /opt/keycard/lib /opt/keycard-avx2


FROM base

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
