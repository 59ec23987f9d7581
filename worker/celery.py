"""`celery -A worker worker` finds the application here."""

from worker.app import build_app
from worker.settings import Settings

app = build_app(Settings())
