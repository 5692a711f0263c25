"""`mlflow server`, whose administrator's password is always the one that `BLOOMERY_AUTH` gives.

MLflow takes the password from its environment at the first start alone: one that was changed would
not reach a database that knows the user. Its own door is behind this one, so it is done here.
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
