# The image of one service: Python, the service's locked dependencies, warren and the service, nothing else. From the root of the checkout:
#   docker build --build-arg SERVICE=gateway -t warren-gateway .
#   docker build --build-arg SERVICE=router -t warren-router .          (or `make images` for both)
# It runs as user 10001 and writes nothing: run it with a read-only root file system. The base is pinned by its version's tag; who needs
# the very same bytes at each build gives a digest: --build-arg BASE=python:3.14-slim-trixie@sha256:…
ARG BASE=docker.io/library/python:3.14-slim-trixie
# gateway or router: there is no image of both
ARG SERVICE

FROM ${BASE} AS build
ARG SERVICE
WORKDIR /build
COPY requirements/build.lock requirements/${SERVICE}.lock requirements/
# The tools that build the packages stay in an environment of their own, which is left behind with this stage.
RUN python -m venv tools \
 && tools/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/build.lock \
 && python -m venv --without-pip /opt/warren \
 && tools/bin/pip --python /opt/warren/bin/python install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
    --require-hashes --only-binary :all: -r requirements/${SERVICE}.lock
COPY libs/warren libs/warren
COPY services/${SERVICE} services/${SERVICE}
# Compiled here, since nothing can be written where it runs.
RUN tools/bin/pip wheel --quiet --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -w wheels ./libs/warren ./services/${SERVICE} \
 && tools/bin/pip --python /opt/warren/bin/python install --quiet --no-cache-dir --disable-pip-version-check --no-compile --no-deps --no-index wheels/*.whl \
 && /opt/warren/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/warren/lib

FROM ${BASE} AS runtime
ARG SERVICE
# `make images` gives the version of the checkout
ARG VERSION=unknown
LABEL org.opencontainers.image.title="warren-${SERVICE}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/warren /opt/warren
ENV PATH=/opt/warren/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM

# An entry point without a shell around it takes no argument of the build, so each service has a stage that names it.
FROM runtime AS gateway
LABEL org.opencontainers.image.description="Warren's gateway: it terminates the clients' WebSockets"
# 8080: clients; 9080: probes and metrics, never for clients
EXPOSE 8080 9080
ENTRYPOINT ["python", "-m", "gateway"]

FROM runtime AS router
LABEL org.opencontainers.image.description="Warren's router: it knows the rooms and numbers their messages"
# probes and metrics, never for clients
EXPOSE 9081
ENTRYPOINT ["python", "-m", "router"]

FROM ${SERVICE}
