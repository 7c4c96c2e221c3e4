"""Indexes of what is open: a start, and what is asked every few seconds, reads no finished work."""

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index units that wait for other inputs, Executions, and removals that have not ended."""
    waits, has_execution, open_removal = (
        text("basis IS NOT NULL"),
        text("execution_rid IS NOT NULL"),
        text("removal IS NOT NULL AND state != 'removed'"),
    )
    op.create_index(
        "execution_with_basis",
        "execution",
        ["id"],
        sqlite_where=waits,
        postgresql_where=waits,
    )
    op.create_index(
        "execution_by_execution_rid",
        "execution",
        ["execution_rid"],
        sqlite_where=has_execution,
        postgresql_where=has_execution,
    )
    op.drop_index("file_with_removal", "file")
    op.create_index(
        "file_being_removed",
        "file",
        ["id"],
        sqlite_where=open_removal,
        postgresql_where=open_removal,
    )
