"""Imports at less cost: a fifth of their time is the garbage collector's, which finds nothing."""

import gc
import importlib
from collections.abc import Generator
from contextlib import contextmanager

from components.core.servers.endpoints import tracking_uri

_TRAINING = ("components.lib.models.folders", "transformers.modeling_utils")


@contextmanager
def importing() -> Generator[None]:
    """Leave the garbage collector off in the block, and later alone what the block made."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_for(flow: str) -> None:
    """Import what every run of `flow` comes to need for tracking and, beyond data, training."""
    store = "rest_store" if tracking_uri().startswith("http") else "sqlalchemy_store"
    tracking = ("mlflow", f"mlflow.store.tracking.{store}")
    with importing():
        for module in tracking if flow == "data" else (*tracking, *_TRAINING):
            importlib.import_module(module)
