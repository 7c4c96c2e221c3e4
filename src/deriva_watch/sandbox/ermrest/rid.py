"""Row identifiers: numbers in Crockford's base 32, in groups of four symbols."""

from typing import Final

SYMBOLS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U
VALUES: Final = {symbol: value for value, symbol in enumerate(SYMBOLS)}
GROUP: Final = 4


def encode(number: int) -> str:
    """Return *number* as ERMrest writes it, for example ``1-000J``."""
    digits = ""
    while number or not digits:
        number, value = divmod(number, len(SYMBOLS))
        digits = SYMBOLS[value] + digits
    head = len(digits) % GROUP
    groups = [digits[:head]] if head else []
    return "-".join(groups + [digits[at : at + GROUP] for at in range(head, len(digits), GROUP)])


def decode(rid: str) -> int:
    """Return the number behind *rid*.

    Raises:
        ValueError: A character is not in the alphabet; the argument is that character.
    """
    number = 0
    for symbol in rid.replace("-", ""):
        if symbol not in VALUES:
            raise ValueError(symbol)
        number = number * len(SYMBOLS) + VALUES[symbol]
    return number


def issue(first: int, count: int) -> list[str]:
    """Return *count* new RIDs from the sequence's *first* number: only even ones are issued."""
    return [encode(2 * number) for number in range(first, first + count)]
