"""A Prefect server that knows our recipes, and whose SQLite transactions take their turn.

`prefect server start` would do the same, after a second of a processor spent on its command line
and on setting up, again, what the import has set up.

    python -m infra.prefect_server HOST
"""

import gc
import sys


def main() -> None:
    """Start the server in this process; its port and all else are as Prefect's settings say."""
    gc.disable()  # a sixth of the imports' time goes to it, and hardly anything of them is garbage
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    from infra import refusal, schedules, turns

    gc.freeze()
    gc.enable()
    turns.take()
    schedules.keep_what_is_not_said()
    refusal.teach()
    server = get_current_settings().server
    uvicorn.run(
        create_app(final=True),
        host=sys.argv[1],
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
