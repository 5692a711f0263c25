"""The spool of metrics beside the files, and MLflow as its view."""
