"""From any earlier journal to the tables of `schema`, by Alembic."""
