"""Everything about the model: data, training, evaluation, export. `trainer.runtime` is the part the worker imports."""
