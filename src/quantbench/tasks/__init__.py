"""Tasks: what a row is to a model, what its outputs mean, and how they are scored.

Each task is one module with a `TASK`; importing it loads neither torch nor transformers.
"""
