"""Indexes of what is open: a start, and what is asked every few seconds, reads no finished work."""

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index the units that wait for other inputs, and the removals that have not ended."""
    waits, open_removal = (
        text("basis IS NOT NULL"),
        text("removal IS NOT NULL AND state != 'removed'"),
    )
    op.create_index(
        "execution_with_basis",
        "execution",
        ["id"],
        sqlite_where=waits,
        postgresql_where=waits,
    )
    op.drop_index("file_with_removal", "file")
    op.create_index(
        "file_being_removed",
        "file",
        ["id"],
        sqlite_where=open_removal,
        postgresql_where=open_removal,
    )
