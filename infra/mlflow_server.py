"""`mlflow server` in one process, whose administrator's password is what `BLOOMERY_AUTH` gives.

MLflow prepares its database in one process and starts another that serves, and each imports for
seconds. Here the process that prepares serves, too.

MLflow takes the password from its environment at the first start alone. One that was changed later
would not reach a database that has the user, so it is set here, before MLflow asks for it.
"""

import gc
import os
import sys
from typing import NoReturn


def set_password() -> None:
    """Give the administrator the password of the environment."""
    from mlflow.server import auth

    auth.bootstrap_admin_user()
    user, password = (os.environ[f"MLFLOW_AUTH_ADMIN_{part}"] for part in ("USERNAME", "PASSWORD"))
    if not auth.store.authenticate_user(user, password):
        auth.store.update_user(user, password=password)


def _serve_here(command: list[str], *, extra_env: dict[str, str], **_: object) -> NoReturn:
    """Do what `python -m uvicorn ...` would do in a process of its own."""
    from uvicorn.main import main as uvicorn

    os.environ.update(extra_env)
    uvicorn(command[command.index("uvicorn") + 1 :])
    sys.exit(0)


def main() -> None:
    """Start the server in this process; the arguments are those of `mlflow server`."""
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["MLFLOW_BACKEND_STORE_URI"]  # it serves
    if "basic-auth" in sys.argv:
        set_password()
    gc.disable()  # a seventh of the imports' time goes to it
    from mlflow import server
    from mlflow.cli import cli

    gc.enable()
    server._exec_cmd = _serve_here  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
