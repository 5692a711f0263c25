"""Connectors: where documents come from. `source.py` is the question, `reading.py` the answer."""
