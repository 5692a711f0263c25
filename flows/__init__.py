"""WHEN things happen: Prefect flows, one a stage. Read `pipeline.py` first."""

import os
from contextlib import suppress

from components.core.servers.access import client_environment
from components.core.settings import apply_environment

with suppress(ValueError):  # a setting or a login that is not valid: whoever needs it says so
    apply_environment()
    os.environ.update(client_environment())
