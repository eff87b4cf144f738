FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/medialink
COPY requirements/run.txt requirements/build.txt requirements/
RUN /opt/medialink/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt \
 && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY proxy proxy
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/medialink/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && /opt/medialink/bin/python -m pip uninstall --yes pip

FROM python:3.13-slim
RUN python -m pip uninstall --yes pip \
 && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/medialink /opt/medialink
ENV PATH=/opt/medialink/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    LISTEN_HOST=0.0.0.0 \
    LOG_FORMAT=json
# The root may be read-only: everything local lies in /data, and decoding workers talk through /tmp.
VOLUME ["/data", "/tmp"]
USER 10001:10001
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=6s --start-period=20s CMD ["medialink", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["medialink"]
CMD ["serve"]
