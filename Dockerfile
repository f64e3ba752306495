# syntax=docker/dockerfile:1
#
# One build, four images: docker build --target {location,storage-rest,rhoai-normalizer,connector} .
# Without --target: connector, which can run all three services in one process.
#
# Each RUN is plain shell over the arguments below, so tests/deploy/test_dockerfile.py can run the very same
# steps in a temporary directory, on a machine without a container engine.

ARG UBI_VERSION=9.8

FROM registry.access.redhat.com/ubi9/python-312:${UBI_VERSION} AS build
SHELL ["/bin/bash", "-o", "errexit", "-o", "pipefail", "-c"]
# The same interpreter, at the same path, in this image and in the minimal one below: a virtual environment links to it.
ARG PYTHON=/usr/bin/python3.12
# What builds. Stays behind.
ARG TOOLS=/opt/app-root/tools
# What is built. Goes into the images, to this very path: the entry points carry it in their first line.
ARG CONNECTOR=/opt/app-root/connector
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/app-root/src

COPY requirements-build.lock requirements.lock ./
RUN "${PYTHON}" -m venv "${TOOLS}"
RUN "${TOOLS}/bin/pip" install --require-hashes --only-binary :all: --requirement requirements-build.lock
# No pip in the result: nothing there can install anything.
RUN "${PYTHON}" -m venv --without-pip "${CONNECTOR}"
RUN "${TOOLS}/bin/pip" --python "${CONNECTOR}/bin/python" install --no-compile --require-hashes --only-binary :all: --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY common common
COPY services services
RUN "${TOOLS}/bin/pip" wheel --no-deps --no-build-isolation --wheel-dir "${TOOLS}/wheels" .
RUN "${TOOLS}/bin/pip" --python "${CONNECTOR}/bin/python" install --no-compile --no-deps --no-index --find-links "${TOOLS}/wheels" rhoai-connector
# Byte code now, for the root file system may be read-only later; by hash, for copying between stages may change times.
RUN "${CONNECTOR}/bin/python" -m compileall -q --invalidation-mode unchecked-hash "${CONNECTOR}/lib"


FROM registry.access.redhat.com/ubi9/python-312-minimal:${UBI_VERSION} AS runtime
LABEL name="rhoai-connector" \
      summary="Carries AI models from KServe and Kubeflow model registries to Backstage and Red Hat Developer Hub" \
      description="Sidecar of a Backstage or Red Hat Developer Hub pod. Serves the models it finds on a cluster to the catalog on port 9090." \
      io.k8s.display-name="OpenShift AI connector for Red Hat Developer Hub" \
      io.openshift.tags="backstage,kserve,kubeflow,model-registry" \
      org.opencontainers.image.title="rhoai-connector" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# Nothing is written next to the code, and log lines leave at once.
ENV PATH=/opt/app-root/connector/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Owned by root and readable by everybody: OpenShift starts the process under any UID, which must not change its own
# code.
COPY --from=build --chown=0:0 /opt/app-root/connector /opt/app-root/connector
COPY --chown=0:0 LICENSE /licenses/LICENSE
WORKDIR /opt/app-root/src
USER 1001
STOPSIGNAL SIGTERM


# Exec form everywhere: the service is PID 1 and gets the SIGTERM itself.
FROM runtime AS location
EXPOSE 9090
ENTRYPOINT ["/opt/app-root/connector/bin/location"]

FROM runtime AS storage-rest
EXPOSE 7070
ENTRYPOINT ["/opt/app-root/connector/bin/storage-rest"]

FROM runtime AS rhoai-normalizer
EXPOSE 8081
ENTRYPOINT ["/opt/app-root/connector/bin/rhoai-normalizer"]

FROM runtime AS connector
EXPOSE 9090 8081
ENTRYPOINT ["/opt/app-root/connector/bin/connector"]
CMD ["--help"]
