"""`celery -A worker worker` finds the application here."""

import sys

from pydantic import ValidationError

from worker.app import build_app
from worker.settings import Settings, what_is_wrong

try:
    app = build_app(Settings())
except ValidationError as error:
    sys.exit("\n".join(what_is_wrong(error)))
except OSError as error:
    # the only file that building the application reads
    sys.exit(f"TRIAGE_BROKER_PASSWORD_FILE cannot be read: {error.strerror}.")
