"""Ids that last: 31 bits of PostgreSQL's are used up in months, as what is known already draws one, too."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("statuses", "fetches", "unread")


def upgrade() -> None:
    _change("bigint")


def downgrade() -> None:
    _change("integer")


def _change(name: str) -> None:
    """Widen column and sequence; SQLite's row ids have 63 bits."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN id TYPE {name}")
        op.execute(f"ALTER SEQUENCE {table}_id_seq AS {name}")
