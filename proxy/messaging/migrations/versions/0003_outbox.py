"""Webhooks to pass on, and what each is about."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "outbox",
        sa.Column("id", number, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("claimed_until", moment),
        sa.Column("problem", sa.Text),
    )
    op.create_index("outbox_due_at", "outbox", ["due_at", "id"])
    op.create_index("outbox_expires_at", "outbox", ["expires_at"])
    op.create_table(
        "lanes",
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("outbox_id", number, sa.ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("lanes_outbox_id", "lanes", ["outbox_id"])


def downgrade() -> None:
    for name in ("lanes", "outbox"):
        op.drop_table(name)
