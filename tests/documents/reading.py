"""The command lines and examples that our documents give, as they stand there."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = "deriva-watch"
_FENCE = re.compile(r"^ *```(\{?[\w-]*)[^`\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4,}\S.*\n|\n(?= {4}))+)", re.MULTILINE)
_SPAN = re.compile(rf"`((?:/[^ `]*/)?(?:{PROGRAM}|pipx|systemctl|sudo) [^`]+)`")
_LISTED = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: its language and its text without indentation."""

    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line, and the lines that the document shows as its output."""

    line: str
    shown: tuple[str, ...] = ()


def pages():
    """Return the pages of the documentation, in the order in which people read them."""
    index = ROOT / "docs" / "index.md"
    lists = "".join(_LISTED.findall(index.read_text()))
    names = re.findall(r"^[a-z/-]+$", lists, re.MULTILINE)
    return [index, *(ROOT / "docs" / f"{name}.md" for name in names)]


def documents():
    """Return README.md and all pages as one text, without what is generated in them."""
    return "\n\n".join(file.read_text() for file in (ROOT / "README.md", *pages()))


def section(title, text):
    """Return a section of a Markdown document, up to the next heading of any level."""
    return re.split(rf"^#+ {re.escape(title)}$", text, flags=re.MULTILINE)[1].partition("\n#")[0]


def blocks(text):
    """Return the blocks of code of a Markdown document, in its order."""
    found = [(each.start(), Block(each[1], _flush(each[2]))) for each in _FENCE.finditer(text)]
    prose = _FENCE.sub(lambda fence: "#" * len(fence[0]), text)  # so that places stay the same
    for each in _INDENTED.finditer(prose):
        block = _flush(each[1])
        found.append((each.start(), Block(_guessed(block), block)))
    return [block for _, block in sorted(found, key=lambda one: one[0])]


def _flush(block):
    lines = block.splitlines()
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[depth:] for line in lines).strip("\n") + "\n"


def _guessed(block):
    """Return the language of a block that does not name it."""
    first = block.lstrip()
    if first.startswith("$ "):
        return "console"
    if first.startswith(("[", "#")):
        return "toml"
    if first.startswith(("from ", "import ")):
        return "python"
    return "text" if first.startswith(("✓", "✗")) else "sh"


def commands(text):
    """Return the command lines of a Markdown document: of its blocks and its prose."""
    found = [command for block in blocks(text) for command in _of_block(block)]
    prose = _FENCE.sub("", text)
    found += [Command(line) for span in _SPAN.findall(prose) for line in variants(span)]
    return list(dict.fromkeys(found))


def _of_block(block):
    if block.language in {"sh", "bash"}:
        lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
        return [Command(line) for each in lines if (line := _bare(each))]
    if block.language == "console":
        sessions = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
        parts = [session.splitlines() for session in sessions]
        return [Command(_bare(part[0]), tuple(part[1:])) for part in parts]
    return []


def _bare(line):
    return re.sub(r"(^|\s+)#.*", "", line).strip()


def variants(usage):
    """Return a usage with and without its optional words: `status [--watch]` is two commands."""
    optional = re.search(r" \[([^\]]+)\]", usage)
    if not optional:
        return [usage]
    before, after = usage[: optional.start()], usage[optional.end() :]
    return [
        line for choice in ("", f" {optional[1]}") for line in variants(f"{before}{choice}{after}")
    ]


def of_comments(text):
    """Return the command lines in the comments of a unit or of the settings.

    They are indented by four more than the comment is.
    """
    lines = re.findall(r"^# {5}(\S.*)$", text, re.MULTILINE)
    first_words = re.compile(rf"({PROGRAM}|systemctl|useradd|python3|install|mkdir|cp) ")
    return [Command(_bare(line)) for line in lines if first_words.match(line)]
