"""`celery -A worker worker` finds the application here."""

import sys

from pydantic import ValidationError

from worker.app import build_app
from worker.settings import Settings, what_is_wrong

try:
    app = build_app(Settings())
except ValidationError as error:
    sys.exit("\n".join(what_is_wrong(error)))
