# Two images from one file:  docker build --target gateway -t jira-gateway .   docker build --target agent -t jira-agent .
#
# They hold what the hash-checked locks name and nothing else: no pip, no compiler, no tests. They run as user 10001, on
# a read-only root, and need no shell (docs/operations.md, Containers). Pin PYTHON_IMAGE by digest for builds that
# are the same but for compiled files.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ARG SOURCE_DATE_EPOCH=0
WORKDIR /build
RUN ["python3", "-m", "venv", "/build/tools"]
COPY requirements/dev.lock requirements/dev.lock
# setuptools builds the wheel; the lock of the developers has its version and hash.
RUN awk '/^setuptools==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements/dev.lock > setuptools.lock \
 && tools/bin/python -m pip install --quiet --only-binary :all: --require-hashes -r setuptools.lock
COPY pyproject.toml README.md LICENSE ./
COPY agent agent
COPY certs certs
COPY gateway gateway
COPY http1 http1
COPY jira_api jira_api
COPY runtime runtime
COPY tunnel tunnel
RUN tools/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheel .

FROM build AS build-gateway
COPY requirements/gateway.lock requirements/gateway.lock
RUN python3 -m venv --without-pip /opt/jira-gateway \
 && tools/bin/python -m pip --python /opt/jira-gateway/bin/python install --quiet --no-compile --only-binary :all: --require-hashes -r requirements/gateway.lock \
 && tools/bin/python -m pip --python /opt/jira-gateway/bin/python install --quiet --no-compile --no-deps wheel/*.whl \
 && rm -rf /opt/jira-gateway/lib/python3*/site-packages/agent /opt/jira-gateway/bin/jira-agent \
 && PYTHONHASHSEED=0 /opt/jira-gateway/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/jira-gateway/lib \
 && install -d -m 0700 /build/state/jira-gateway

FROM build AS build-agent
COPY requirements/agent.lock requirements/agent.lock
RUN python3 -m venv --without-pip /opt/jira-agent \
 && tools/bin/python -m pip --python /opt/jira-agent/bin/python install --quiet --no-compile --only-binary :all: --require-hashes -r requirements/agent.lock \
 && tools/bin/python -m pip --python /opt/jira-agent/bin/python install --quiet --no-compile --no-deps wheel/*.whl \
 && rm -rf /opt/jira-agent/lib/python3*/site-packages/gateway /opt/jira-agent/bin/jira-gateway /opt/jira-agent/bin/jira-certs \
 && PYTHONHASHSEED=0 /opt/jira-agent/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/jira-agent/lib \
 && install -d -m 0700 /build/state/jira-agent

FROM ${PYTHON_IMAGE} AS agent
COPY --from=build-agent /opt/jira-agent /opt/jira-agent
COPY --from=build-agent --chown=10001:10001 /build/state/ /var/lib/
ENV PATH=/opt/jira-agent/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /var/lib/jira-agent
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["jira-agent", "healthcheck"]
ENTRYPOINT ["jira-agent"]
CMD ["run"]

FROM ${PYTHON_IMAGE} AS gateway
COPY --from=build-gateway /opt/jira-gateway /opt/jira-gateway
COPY --from=build-gateway --chown=10001:10001 /build/state/ /var/lib/
ENV PATH=/opt/jira-gateway/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /var/lib/jira-gateway
EXPOSE 8080 8443
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["jira-gateway", "healthcheck"]
ENTRYPOINT ["jira-gateway"]
CMD ["run"]
