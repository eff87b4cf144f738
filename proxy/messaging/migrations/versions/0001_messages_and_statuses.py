"""Messages and their statuses."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("provider_message_id", sa.Text, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("rendition_id", sa.Text),
        sa.Column("link", sa.Text),
        sa.Column("recipient_hash", sa.Text, nullable=False),
        sa.Column("recipient_last4", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error_code", sa.BigInteger),
        sa.Column("error_details", sa.Text),
        sa.Column("warnings", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("status_at", moment),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
    )
    op.create_index("messages_created_at", "messages", ["created_at"])
    op.create_table(
        "statuses",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("provider_message_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("recipient_hash", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("error_code", sa.BigInteger),
        sa.Column("error_details", sa.Text),
        sa.Column("recorded_at", moment, nullable=False),
        sa.UniqueConstraint(
            "provider_message_id", "status", "recipient_hash", name="statuses_once_per_message_status_recipient"
        ),
    )


def downgrade() -> None:
    op.drop_table("statuses")
    op.drop_table("messages")
