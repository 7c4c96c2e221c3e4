"""Names of files in text for people: a name may hold any byte."""


def printable(text: str) -> str:
    """Return *text* so that no name in it can break the line or command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
