# The image of the web server and of the worker; docs/deploy.md says how to run it. tests/deploy builds it without an
# engine: so each RUN step is run, and what docker-compose.yml starts.

# Python as the suite runs on.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
COPY requirements.lock requirements-dev.lock ./
# uv, at the version and with the hashes of the development lock, installs the packages in a tenth of pip's time.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements-dev.lock > uv.lock \
    && python -m venv uv && uv/bin/python -m pip install --quiet --require-hashes -r uv.lock \
    && uv/bin/uv venv --quiet --python /usr/local/bin/python venv \
    && uv/bin/uv pip install --quiet --require-hashes --python venv/bin/python -r requirements.lock \
    && rm -r uv uv.lock requirements-dev.lock
COPY . .
# The environment is that of this step alone. `postgresql` leads to pg_dump and pg_restore, for `manage.py backup`.
RUN SECRET_KEY=of-this-step-alone VAR_DIR=/tmp/var STATIC_ROOT=/app/collected DATABASE_URL=postgresql://nowhere/none \
        venv/bin/python manage.py collectstatic --no-input --verbosity 0 \
    && ln -s "$(venv/bin/python -c 'from usage_dashboard.pgserver import PROGRAMS; print(PROGRAMS)')" postgresql \
    && mkdir data

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Groq usage dashboard" org.opencontainers.image.licenses="Apache-2.0"
# The embedded PostgreSQL, which serves where no DATABASE_URL is given, wants its user to have a name.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ledger
ENV PATH=/app/venv/bin:/app/postgresql:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    VAR_DIR=/var/lib/groq-usage STATIC_ROOT=/app/collected WEB_CONCURRENCY=2
WORKDIR /app
COPY --from=build /app /app
COPY --from=build --chown=10001:10001 /app/data /var/lib/groq-usage
USER 10001:10001
# All that is written, beside /tmp. The rest of the file system may be read-only.
VOLUME /var/lib/groq-usage
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live/', timeout=4)"]
# WEB_CONCURRENCY is the number of gunicorn's processes, GUNICORN_CMD_ARGS takes more arguments of its.
CMD ["gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi", "--bind", "0.0.0.0:8000", "--no-control-socket"]
