# The tag, not a digest: pin the digest where you build, and raise it when the base is mended.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/image.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/medialink \
 && python -m pip --python /opt/medialink install --no-cache-dir --require-hashes --only-binary :all: -r requirements/image.txt \
 && python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY proxy proxy
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m pip --python /opt/medialink install --no-cache-dir --no-deps /wheels/*.whl
COPY docker/notices.py docker/
RUN /opt/medialink/bin/python docker/notices.py > /opt/medialink/NOTICES

FROM ${BASE}
# Debian keeps one version of a package in a suite: a pinned one is gone with its next security update.
# NOTICES names the licences by where base-files puts them.
# hadolint ignore=DL3008
RUN ls /usr/share/common-licenses/GPL-[23] /usr/share/common-licenses/LGPL-2.1 /usr/share/common-licenses/LGPL-3 \
 && apt-get update \
 && apt-get install --yes --no-install-recommends libjemalloc2 \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s "$(find /usr/lib -name libjemalloc.so.2)" /usr/local/lib/libjemalloc.so.2 \
 && python -m pip uninstall --yes pip \
 && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
 && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/medialink /opt/medialink
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="medialink" \
      org.opencontainers.image.description="Links that WhatsApp can always fetch" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-trixie"
ENV PATH=/opt/medialink/bin:$PATH \
    LD_PRELOAD=/usr/local/lib/libjemalloc.so.2 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    LISTEN_HOST=0.0.0.0 \
    METRICS_PORT=9090 \
    LOG_FORMAT=json
# The root may be read-only: everything local lies in /data, and decoding workers talk through /tmp.
VOLUME ["/data", "/tmp"]
USER 10001:10001
WORKDIR /data
# Media and messages at the first; health and metrics at the second, which is nobody's but the platform's.
EXPOSE 8080 9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["medialink", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["medialink"]
CMD ["serve"]
