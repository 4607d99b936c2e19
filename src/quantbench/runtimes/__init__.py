"""Runtimes: each opens an artifact, binds inputs, runs it and closes it."""
