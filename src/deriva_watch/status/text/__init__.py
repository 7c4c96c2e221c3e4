"""`status`, `show` and `history` as text for a terminal."""
