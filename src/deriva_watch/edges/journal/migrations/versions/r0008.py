"""Counts of files, so that nobody counts them again every second; moves by their time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add them, and count what is there."""
    op.create_table(
        "tally",
        sa.Column("execution_id", sa.BigInteger, sa.ForeignKey("execution.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "state"),
    )
    op.execute(
        "INSERT INTO tally (execution_id, state, files, bytes) "
        "SELECT execution_id, state, COUNT(*), SUM(size_bytes) FROM file "
        "GROUP BY execution_id, state"
    )
    op.drop_index("file_by_state", "file")
    op.create_index("file_by_state", "file", ["state", "execution_id"])
    own, stored = sa.text("file_id IS NULL"), sa.text("after = 'stored'")
    op.create_index(
        "history_of_executions",
        "history",
        ["after", "at"],
        sqlite_where=own,
        postgresql_where=own,
    )
    op.create_index(
        "history_of_stored", "history", ["at"], sqlite_where=stored, postgresql_where=stored
    )
