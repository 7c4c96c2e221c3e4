"""What a spec can say of rows that are there already."""

from typing import Final

from oracle.case import DOCS, case
from oracle.specs import document, spec

_BY_SUBJECT: Final = document(
    record_query_template="/entity/{target_table}/subject={subject}",
    column_map={"subject": "{subject}", "note": "{md5}"},
)

RECORDS: Final = {
    "a row that the query finds is brought up to date": case(
        spec(document()), DOCS, {"docs/S1/a.txt": b"new", "docs/S2/b.txt": b"two"}
    ),
    "a row that says the same stays": case(spec(document()), DOCS, DOCS),
    "a row is updated as record_update_template says": case(
        spec(
            document(
                record_update_template=(
                    "/attributegroup/lab:document/name;url,bytes,md5,sha256,subject"
                )
            )
        ),
        DOCS,
        {"docs/S1/a.txt": b"new", "docs/S2/b.txt": b"two"},
    ),
    "an update that wants a template has none": case(
        spec(document(require_record_update_template=True)),
        DOCS,
        {"docs/S1/a.txt": b"new", "docs/S2/b.txt": b"two"},
        fails=("docs/S1/a.txt",),
    ),
    "a row that nothing but its text finds is not updated": case(
        spec(_BY_SUBJECT),
        {"docs/S1/a.txt": b"one"},
        fails=("docs/S1/a.txt",),
        rows={"lab:document": [
            {"url": "/x/1", "name": "one", "subject": "S1", "note": "old"},
            {"url": "/x/2", "name": "two", "subject": "S1", "note": "old"},
        ]},
    ),
    "unless the check is off: then all such rows are": case(
        spec(_BY_SUBJECT, strict_update_check=False),
        {"docs/S1/a.txt": b"one"},
        rows={"lab:document": [
            {"url": "/x/1", "name": "one", "subject": "S1", "note": "old"},
            {"url": "/x/2", "name": "two", "subject": "S1", "note": "old"},
            {"url": "/x/3", "name": "three", "subject": "S2", "note": "old"},
        ]},
    ),
    "a row of another program is found and completed": case(
        spec(document()),
        DOCS,
        rows={"lab:document": [
            {"url": "/x/1", "name": "a.txt", "subject": "S2", "md5": "0", "sha256": "0",
             "bytes": 1, "note": "stays"},
        ]},
    ),
    "a column that may be empty is made empty": case(
        spec(
            document(
                file_pattern=r"/docs/(?P<subject>S\d)/(?:(?P<n>n[^/]*)/)?[^/]+$",
                columns={"note": "{n}"},
                allow_empty_columns_on_update=["note"],
            )
        ),
        {"docs/S1/nice/a.txt": b"one"},
        {"docs/S1/a.txt": b"one"},
    ),
    "a column that is filled later is filled": case(
        spec(
            document(
                file_pattern=r"/docs/(?P<subject>S\d)/(?:(?P<n>n[^/]*)/)?[^/]+$",
                columns={"note": "{n}"},
                allow_empty_columns_on_update=["note"],
            )
        ),
        {"docs/S1/a.txt": b"one"},
        {"docs/S1/nice/a.txt": b"one"},
    ),
    "the query may be answered by another column than the content's": case(
        spec(document(record_query_template="/entity/{target_table}/md5={md5}")),
        {"docs/S1/a.txt": b"same"},
        {"docs/S1/b.txt": b"same"},
    ),
}  # fmt: skip
