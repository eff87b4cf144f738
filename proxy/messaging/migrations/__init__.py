"""How the ledger's tables came to be: alembic's revisions, run by `Ledger.open`."""

import threading

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_ONE_AT_A_TIME = threading.Lock()
"""alembic hands the running migration round in module globals."""


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, within the transaction that the connection has open."""
    config = _config()
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")


def revision_of(connection: Connection) -> str | None:
    """Read where a database stands, None where it has never been ours; changes nothing."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "proxy.messaging:migrations")
    return config
