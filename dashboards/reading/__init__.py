"""Queries: what the pages show, read from MLflow, Prefect and the records."""
