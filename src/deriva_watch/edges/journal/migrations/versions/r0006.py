"""Files that are removed once they are uploaded, and how long the host has been on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them."""
    op.add_column("execution", sa.Column("removal", sa.JSON))
    op.add_column("file", sa.Column("removal", sa.JSON))
    removal = sa.text("removal IS NOT NULL")
    op.create_index(
        "file_with_removal", "file", ["id"], sqlite_where=removal, postgresql_where=removal
    )
    op.create_table(
        "uptime",
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("boot_s", sa.Double, nullable=False),
        sa.Column("total_s", sa.Double, nullable=False),
    )
