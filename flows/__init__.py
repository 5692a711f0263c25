"""WHEN things happen: a recipe is made of stages, one file each, and Prefect runs their steps.

Read `pipeline.py` first, then `recipes.py` and `stage.py`. `command/` is the `bloomery` command.
"""

import os
from contextlib import suppress

from components.core.servers.access import client_environment
from components.core.settings import apply_environment

apply_environment()
with suppress(ValueError):  # not a login: what needs one says so
    os.environ.update(client_environment())
