"""The Celery application: `celery -A worker worker` watches the inbox and writes reports."""
