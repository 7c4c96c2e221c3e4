"""Executions, files and their history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "execution",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("prefix", sa.LargeBinary, nullable=False),
        sa.Column("rid", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("next_at", _INSTANT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("verdict", sa.JSON),
        sa.Column("what", sa.Text),
        sa.Column("why", sa.Text),
        sa.Column("next", sa.Text),
        sa.Column("status_set", sa.Text),
        sa.Column("ours", sa.Boolean, nullable=False),
        sa.UniqueConstraint("server", "prefix", "rid", name="execution_is_one"),
    )
    op.create_index("execution_by_state", "execution", ["state", "changed_at"])
    op.create_index("execution_by_next_at", "execution", ["state", "next_at"])
    op.create_table(
        "file",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("execution_id", sa.BigInteger, sa.ForeignKey("execution.id"), nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("device", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.Text),
        sa.Column("md5", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("table", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("rid", sa.Text),
        sa.Column("adopted", sa.Boolean, nullable=False),
        sa.Column("job", sa.JSON),
        sa.Column("what", sa.Text),
        sa.Column("why", sa.Text),
        sa.Column("next", sa.Text),
        sa.UniqueConstraint("execution_id", "path", name="file_is_one"),
    )
    op.create_index("file_by_url", "file", ["url"])
    op.create_index("file_by_state", "file", ["state"])
    op.create_table(
        "history",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("execution_id", sa.BigInteger, sa.ForeignKey("execution.id"), nullable=False),
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("file.id")),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("trigger", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("history_by_execution", "history", ["execution_id", "file_id"])
