"""WHEN things happen: a recipe is made of stages, one file each, and Prefect runs their steps.

Read `pipeline.py` first, then `recipes.py` and `stage.py`. `command/` is the `bloomery` command.
"""

import os
from contextlib import suppress

from components.core.servers.access import client_environment
from components.core.settings import apply_environment

with suppress(ValueError):  # a setting or a login that is not valid: whoever needs it says so
    apply_environment()
    os.environ.update(client_environment())
