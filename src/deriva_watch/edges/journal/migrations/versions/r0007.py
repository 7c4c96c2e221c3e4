"""What a person holds back: executions, files, all."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add them."""
    held = sa.text("held IS NOT NULL")
    for table in ("execution", "file"):
        op.add_column(table, sa.Column("held", sa.JSON))
        op.create_index(f"{table}_held", table, ["id"], sqlite_where=held, postgresql_where=held)
    op.create_table("pause", sa.Column("held", sa.JSON, nullable=False))
