"""How an older journal gets today's tables; Alembic runs it."""
