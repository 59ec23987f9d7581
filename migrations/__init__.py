"""Alembic migrations; `worker.migrate` runs them at the start of a worker."""
