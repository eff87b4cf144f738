"""Any number of media in a message, none for a text; the fetches of links; webhooks that were not understood."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOVED = ("kind", "key", "rendition_id", "link")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "media",
        sa.Column("message_id", sa.Text, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("rendition_id", sa.Text),
        sa.Column("link", sa.Text),
    )
    op.create_index("media_rendition_id", "media", ["rendition_id"])
    op.execute(
        "INSERT INTO media (message_id, position, kind, key, rendition_id, link)"
        " SELECT id, 0, kind, key, rendition_id, link FROM messages"
    )
    op.add_column("messages", sa.Column("type", sa.Text, nullable=False, server_default="text"))
    op.execute("UPDATE messages SET type = kind")
    for name in _MOVED:
        op.drop_column("messages", name)
    op.create_table(
        "fetches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("rendition_id", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("sent_bytes", sa.BigInteger, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("ms", sa.Float, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("agent", sa.Text),
    )
    op.create_index("fetches_rendition_id_at", "fetches", ["rendition_id", "at"])
    op.create_index("fetches_at", "fetches", ["at"])
    op.create_table(
        "unread",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
    )
    op.create_index("unread_recorded_at", "unread", ["recorded_at"])
    op.create_index("statuses_recorded_at", "statuses", ["recorded_at"])


def downgrade() -> None:
    op.drop_index("statuses_recorded_at", "statuses")
    for name in ("unread", "fetches"):
        op.drop_table(name)
    op.add_column("messages", sa.Column("kind", sa.Text, nullable=False, server_default="document"))
    for name in ("key", "rendition_id", "link"):
        op.add_column("messages", sa.Column(name, sa.Text))
    op.execute(
        "UPDATE messages SET (kind, key, rendition_id, link) = (SELECT media.kind, media.key, media.rendition_id,"
        " media.link FROM media WHERE media.message_id = messages.id AND media.position = 0)"
        " WHERE id IN (SELECT message_id FROM media WHERE position = 0)"
    )
    op.drop_column("messages", "type")
    op.drop_table("media")
