"""WHEN things happen: Prefect flows, one a stage. Read `pipeline.py` first."""

from components.core.settings import apply_environment

apply_environment()
