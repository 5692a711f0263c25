"""`prefect server start` that knows our recipes, and whose SQLite transactions take their turn."""

import gc
import sys


def main() -> None:
    """Start the server in this process; the arguments are those of `prefect server start`."""
    gc.disable()  # a sixth of the imports' time goes to it, and hardly anything of them is garbage
    from prefect.cli import app

    from infra import refusal, schedules, turns

    gc.freeze()
    gc.enable()
    turns.take()
    schedules.keep_what_is_not_said()
    refusal.teach()
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
