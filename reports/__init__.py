"""Documents: plain data in (`reports.content`), PDF and HTML out. Imports nothing of the worker or the trainer."""
