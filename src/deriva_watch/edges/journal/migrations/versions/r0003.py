"""What refusals rest on, the types of files, and which journals this one comes after."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.add_column("execution", sa.Column("basis", sa.Text))
    op.add_column("file", sa.Column("types", sa.JSON))
    has_job = sa.text("job IS NOT NULL")
    op.create_index("file_with_job", "file", ["id"], sqlite_where=has_job, postgresql_where=has_job)
    op.create_table(
        "set_aside",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
