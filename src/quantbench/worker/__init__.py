"""One unit of work in, one result out: what every backend runs.

`python -m quantbench.worker` reads units as JSON lines and answers each with progress messages
and one result. It finds and keeps artifacts in the store by the key of their content.
"""
