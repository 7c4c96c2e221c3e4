"""The first schema. `schema.metadata` creates it, as it creates every new journal."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: no journal is older."""
