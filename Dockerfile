# Two images of one file: `worker` (CPU, OpenVINO) and `worker-gpu` (torch; the host needs only the NVIDIA driver).
# The code lies in /app with models/ beside it, the locked packages in /venv. No secret and no data is copied in.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/venv/bin:$PATH
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
# Empty packages first: a change of the code does not install everything again.
RUN python -m venv /venv \
    && pip install --upgrade --constraint constraints.txt pip hatchling editables \
    && mkdir migrations reports trainer worker \
    && pip install --constraint constraints.txt --no-build-isolation --editable .

FROM build AS build-gpu
RUN pip install --constraint constraints.txt --no-build-isolation --editable '.[gpu]'

FROM python:${PYTHON}-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    TRIAGE_HOME=/data
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin triage && install -d -o triage -g triage /data
WORKDIR /app
VOLUME /data
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["python", "-m", "worker", "health"]
CMD ["celery", "-A", "worker", "worker"]

FROM base AS worker
COPY --from=build /venv /venv
COPY . .
RUN python -m compileall -q migrations reports trainer worker
USER triage

FROM base AS worker-gpu
ENV TRIAGE_ENGINE=torch
COPY --from=build-gpu /venv /venv
COPY . .
RUN python -m compileall -q migrations reports trainer worker
USER triage
