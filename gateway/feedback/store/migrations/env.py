# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alembic runs: the revisions, on the connection and in the transaction it was given."""

from alembic import context

from gateway.feedback.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
