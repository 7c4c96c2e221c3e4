"""Change times, by which an edit is noticed whose modification time was set back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; what was read before has no change time."""
    op.add_column("execution", sa.Column("checked_ns", sa.BigInteger))
    op.add_column("file", sa.Column("ctime_ns", sa.BigInteger))
    op.add_column("digest", sa.Column("ctime_ns", sa.BigInteger))
