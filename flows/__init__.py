"""WHEN things happen: Prefect flows, one a stage. Read `pipeline.py` first."""

import os
from contextlib import suppress

from components.core.servers.access import client_environment
from components.core.settings import apply_environment

apply_environment()
with suppress(ValueError):  # a login that is none: whoever needs it says so
    os.environ.update(client_environment())
