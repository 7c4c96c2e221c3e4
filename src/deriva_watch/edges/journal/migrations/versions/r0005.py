"""Units of drop folders, and the Executions that are made for them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add them."""
    op.add_column("execution", sa.Column("unit", sa.Text))
    op.add_column("execution", sa.Column("execution_rid", sa.Text))
