"""Files by what holds them, so that nothing goes which another execution links to."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the index."""
    op.create_index("file_by_inode", "file", ["inode"])
