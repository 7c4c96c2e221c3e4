"""Text for people: names of files, which may hold any byte, and numbers of things."""


def printable(text: str) -> str:
    """Return *text* so that no name in it can break the line or command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 file", "1,204 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
