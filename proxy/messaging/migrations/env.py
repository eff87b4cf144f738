"""What alembic runs for every command: our caller's connection, and the transaction that it has open."""

from alembic import context

from proxy.messaging.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
