"""The schema of receipts: every reader checks them by it, and programs can rely on it.

Fields are only ever added. `SCHEMA` is the same as a JSON schema.
"""

import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState


def _text(value: Any) -> str:
    """Take any text: names of files need not be UTF-8, and then have half of a surrogate pair."""
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004  # pydantic turns this one into its own
    return value


Path = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Count = Annotated[int, Field(ge=0)]


def _hex(length: int, description: str | None = None) -> Any:
    return Field(None, pattern=f"^[0-9a-f]{{{length}}}$", description=description)


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class Proof(_Form):
    """A comparison with the server that found no difference."""

    read_back: ReadBack = Field(
        description="How much of the stored bytes was read: a sample, all, or none: then the "
        "server only stated size and MD5."
    )
    at: datetime
    files: Count | None = Field(None, description="How many files were compared.")
    local: bool = Field(
        default=True, description="Whether local files were read too, as far as they were here."
    )


class Line(_Form):
    """One file whose bytes or rows the server holds."""

    path: Path = Field(
        alias="file", description="Below the directory; bytes that are not UTF-8 as \\udcXX."
    )
    state: Literal["linked", "elsewhere", "removed"] = Field(
        description="linked: uploaded by deriva-watch; elsewhere: by another uploader; removed: "
        "in the catalog, local file deleted or moved."
    )
    size_bytes: Count
    md5: str | None = _hex(32)
    sha256: str | None = _hex(64)
    url: str | None = Field(  # "@elsewhere/" would lead a request, and its token, elsewhere
        None,
        alias="object",
        pattern="^/hatrac/",
        description="Version of the object, below the server.",
    )
    table: str | None = Field(None, description="schema:table of its row, or of its rows.")
    rid: str | None = Field(None, description="RID of its row.")
    adopted: bool = Field(default=False, description="The row was there before.")
    changed_at: datetime = Field(alias="recorded_at", description="When it entered its state.")
    types: list[str] = Field([], description="Asset types that its row is linked to.")
    rows: Count | None = Field(None, description="Of a file of rows: how many are in the table.")
    links: list[Path] = Field([], description="Further paths that lead to the same file.")
    proof: Proof | None = Field(
        None, description="Of a removed file: made immediately before its removal."
    )


class Left(_Form):
    """One file that is not in the catalog."""

    path: Path
    state: str
    why: Path | None = None


class Receipt(_Form):
    """What the server held of one execution at the time. A hint, not a proof: ask again."""

    receipt: Literal[1]
    server: str = Field(description="host/catalog")
    execution: str = Field(description="RID of the Execution, or the name of the unit.")
    linked_to: str | None = Field(None, description="RID of the Execution that rows link to.")
    unit: Path | None = Field(None, description="Name of the unit of a drop folder.")
    prefix: Path | None = Field(None, description="Folder with deriva-ml/, or drop folder.")
    directory: Path
    host: str | None = Field(None, description="Host that had the files.")
    began_at: datetime | None = Field(None, description="When its last upload began.")
    written_at: datetime
    software: dict[str, str] = Field({}, description="Versions of what uploaded it.")
    spec_sha256: str | None = _hex(64, "Of the bulk spec, or of the settings of a drop folder.")
    verdict: dict[str, Any] | None = Field(description="Why it counted as complete.")
    files: list[Line]
    left: list[Left] = []
    notices: dict[Path, Path] = {}
    proof: Proof | None = Field(None, description="The last verification of all files.")


SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **Receipt.model_json_schema(),
}


# Key of a line -> field of `FileRecord`; the journal has no links, and no proof of its own.
_RECORD_FIELDS: Final = {
    part.alias or name: name
    for name, part in Line.model_fields.items()
    if name not in {"links", "proof"}
}


def line(record: FileRecord, also: Sequence[str]) -> dict[str, Any]:
    """Return the line of a receipt for a file; *also* are further paths that lead to it."""
    found = {key: getattr(record, name) for key, name in _RECORD_FIELDS.items()}
    found |= {"recorded_at": record.changed_at.isoformat(), "types": list(record.types or ())}
    if record.rows is None:
        del found["rows"]
    proof = removal_proof(record)
    return found | ({"links": list(also)} if also else {}) | ({"proof": proof} if proof else {})


def removal_proof(record: FileRecord) -> dict[str, Any] | None:
    """Return the proof that was made before a file was removed; None if it was not."""
    if record.state is not FileState.REMOVED:
        return None
    read_back = (record.removal or {}).get("read_back", "none")
    return {"read_back": read_back, "at": record.changed_at.isoformat()}


def software() -> dict[str, str]:
    """Return the versions of what does the upload."""
    ours = {name: version(name) for name in ("deriva-watch", "deriva")}
    return {**ours, "python": platform.python_version()}


def read(document: Any, where: str) -> Receipt:
    """Return a receipt; RefusedError with everything that is wrong with its form."""
    try:
        return Receipt.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)[:5]
        )
        what, then = f"the receipt {where} cannot be used", "It was changed: do not rely on it."
        raise RefusedError(what, wrong, then) from None


def records(receipt: Receipt) -> list[FileRecord]:
    """Return the files of a receipt as records without numbers and stamps."""
    return [_record(line) for line in receipt.files]


def left_out(receipt: Receipt) -> list[FileRecord]:
    """Return the files that a receipt lists as left out, as records without anything else."""
    states = set(FileState)
    return [
        FileRecord(
            id=0,
            execution_id=0,
            path=each.path,
            state=FileState(each.state) if each.state in states else FileState.REFUSED,
            changed_at=receipt.written_at,
            why=each.why,
        )
        for each in receipt.left
    ]


def _record(line: Line) -> FileRecord:
    facts = {name: getattr(line, name) for name in _RECORD_FIELDS.values()}
    return FileRecord(id=0, execution_id=0, **facts | {"state": FileState(line.state)})
