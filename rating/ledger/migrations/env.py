"""The environment in which Alembic runs the migrations: on the connection it is given."""

from alembic import context

from rating.ledger.tables import metadata

# Migrations declare the tables themselves; of the metadata they use the naming convention.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
