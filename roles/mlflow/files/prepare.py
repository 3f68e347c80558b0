"""Brings MLflow's two databases to what this version wants, before its server starts, with one administrator in them.

The upgrades are what `mlflow db upgrade` and `python -m mlflow.server.auth db upgrade` do; run by import, since a
database's URL, with its password, is nobody's to see among a process's arguments.

The password in the Secret is the administrator's: also after somebody deleted that Secret, and a new one was made.
"""

from __future__ import annotations

import os

from mlflow.db import commands as tracking
from mlflow.server.auth.cli import commands as users
from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore


def main() -> None:
    """Upgrade, and keep the administrator."""
    database = read_auth_config().database_uri
    tracking.main(["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]], standalone_mode=False)
    users.main(["db", "upgrade", "--url", database], standalone_mode=False)
    name, password = os.environ["ADMINISTRATOR"], os.environ["ADMINISTRATOR_PASSWORD"]
    store = SqlAlchemyStore()
    store.init_db(database)
    if store.has_user(name):
        store.update_user(name, password=password, is_admin=True)
    else:
        store.create_user(name, password, is_admin=True)
    print("both databases are as this version wants them")


main()
