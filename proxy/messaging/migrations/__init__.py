"""How the ledger's tables came to be: alembic's revisions, run by `Ledger.open`."""

import threading

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_ONE_AT_A_TIME = threading.Lock()
"""alembic hands the running migration round in module globals."""


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, within the transaction that the connection has open."""
    config = Config()
    config.set_main_option("script_location", "proxy.messaging:migrations")
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")
