"""Samples of what was sent and of what waited, for a chart of the last day."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "sample",
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("sent_bytes", sa.BigInteger, nullable=False),
        sa.Column("backlog_files", sa.BigInteger, nullable=False),
        sa.Column("backlog_bytes", sa.BigInteger, nullable=False),
    )
