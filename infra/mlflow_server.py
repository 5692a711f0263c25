"""`mlflow server`, whose administrator's password is always the one that `BLOOMERY_AUTH` gives.

MLflow takes the password from its environment at the first start alone. One that was changed later
would not reach a database that has the user, so it is set here, before MLflow asks for it.
"""

import os
import sys


def set_password() -> None:
    """Give the administrator the password of the environment."""
    from mlflow.server import auth

    auth.bootstrap_admin_user()
    user, password = (os.environ[f"MLFLOW_AUTH_ADMIN_{part}"] for part in ("USERNAME", "PASSWORD"))
    if not auth.store.authenticate_user(user, password):
        auth.store.update_user(user, password=password)


def main() -> None:
    """Start the server in this process; the arguments are those of `mlflow server`."""
    if "basic-auth" in sys.argv:
        set_password()
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
