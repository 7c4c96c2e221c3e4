"""Rows of table files, and the names that a bulk spec takes from elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them."""
    op.add_column("file", sa.Column("names", sa.JSON))
    op.add_column("file", sa.Column("rows", sa.BigInteger))
    op.create_table(
        "batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("file.id"), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("digests", sa.LargeBinary, nullable=False),
        sa.Column("rids", sa.JSON),
        sa.Column("recorded", sa.Boolean, nullable=False),
        sa.UniqueConstraint("file_id", "first", name="batch_is_one"),
    )
