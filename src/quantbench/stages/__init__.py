"""Stages: each takes plain data and files, and makes one kind of file or fact."""
