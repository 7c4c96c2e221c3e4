"""What a spec can say of the values of a row, and of what the catalog knows of them."""

from typing import Final

from oracle.case import DOCS, TWO, case
from oracle.specs import document, scan, spec

_KIND_NOTE: Final = {"note": "{kind}"}

COLUMNS: Final = {
    "constants, mixtures and lone names": case(
        spec(
            scan(
                columns={"Note": "of {subject}, {file_size} bytes", "Channel": "3"},
            ),
            document(columns={"kept": "true", "note": "a constant", "type": "{file_ext}"}),
        ),
        TWO | DOCS,
    ),
    "texts become what their columns hold": case(
        spec(
            scan(
                file_pattern=r"/scans/(?P<subject>S\d)/(?P<taken>[-\d]+)/(?P<e>[^/]+)/(?P<c>\d+)/",
                columns={"Taken": "{taken}", "Exposure": "{e}", "Channel": "{c}"},
            )
        ),
        {
            "scans/S1/2026-02-03/0.5/7/a.png": b"1",
            "scans/S2/2026-02-04/1e3/08/b.png": b"2",
        },
    ),
    "a group may have the name of its column": case(
        spec(
            scan(
                file_pattern=r"/scans/(?P<Subject>S\d)/(?P<Exposure>[^/]+)/(?P<Channel>\d+)/",
                columns={
                    "Subject": "{Subject}", "Exposure": "{Exposure}", "Channel": "{Channel}"
                },
            )
        ),
        {"scans/S1/0.5/7/a.png": b"1", "scans/S2/1e3/08/b.png": b"2"},
    ),
    "a group that fills two columns stays as it is written": case(
        spec(
            scan(
                file_pattern=r"/scans/(?P<subject>S\d)/(?P<number>\d+)/",
                columns={"Note": "{number}", "Channel": "{number}", "Exposure": "{number}"},
                hatrac_templates={
                    "hatrac_uri": "/hatrac/Scan/{number}/{md5}.{file_name_urlencoded}"
                },
            )
        ),
        {"scans/S1/08/a.png": b"1", "scans/S2/7/b.png": b"2"},
    ),
    "a name may be written with a width": case(
        spec(scan(columns={"Note": "{file_size:>6}|{subject:_<4}"})), TWO
    ),
    "column_value_templates make names of names, in order": case(
        spec(
            document(
                columns={"note": "{both}", "type": "{twice}"},
                column_value_templates={"both": "{subject}/{file_name}", "twice": "{both}+{both}"},
            )
        ),
        DOCS,
    ),
    "a column_value_template may take the place of a group": case(
        spec(
            scan(
                file_pattern=r"/scans/(?P<subject>\d)/",
                column_value_templates={"subject": "S{subject}"},
            )
        ),
        {"scans/1/a.png": b"1"},
    ),
    "the digests stand in hex and base64": case(
        spec(document(columns={"note": "{md5_base64} {sha256_base64}"})), DOCS
    ),
    "the path and its parts have names": case(
        spec(document(columns={"note": "{base_path}|{base_name}|{file_ext}"})),
        DOCS | {"docs/S1/x.tar.gz": b"3", "docs/S1/plain": b"4", "docs/S3/.dot": b"5"},
    ),
    "who uploads, and on which day": case(
        spec(
            document(
                columns={
                    "note": "{_identity_id} {_upload_year_}-{_upload_month_}-{_upload_day_}",
                    "type": "{_identity_display_name}",
                }
            )
        ),
        DOCS,
    ),
    "the form for URLs of any name": case(
        spec(
            document(
                columns={"note": "{file_name_urlencoded}|{subject_urlencoded}|{URI_urlencoded}"}
            )
        ),
        {"docs/S1/a b&c.txt": b"1", "docs/S2/50%+é.txt": b"2"},
    ),
    "some characters may stay as they are": case(
        spec(
            document(
                columns={"note": "{file_name_urlencoded}|{URI_urlencoded}"},
                url_encoding_safe_overrides={"URI": "/:", "file_name": " &"},
                hatrac_templates={"hatrac_uri": "/hatrac/docs/{md5}"},
                record_query_template="/entity/{target_table}/md5={md5}",
            )
        ),
        {"docs/S1/a b&c.txt": b"1", "docs/S2/50%.txt": b"2"},
    ),
    "names by the file's extension": case(
        spec(
            document(columns=_KIND_NOTE),
            file_ext_mappings={".txt": {"kind": "text"}, ".tar.gz": {"kind": "packed"}},
        ),
        DOCS | {"docs/S1/c.tar.gz": b"3"},
    ),
    "names by an extension that a pattern found": case(
        spec(
            document(columns=_KIND_NOTE, ext_pattern=r"[.](?P<file_ext>[a-z]+)$"),
            file_ext_mappings={"txt": {"kind": "text"}, "gz": {"kind": "packed"}},
        ),
        DOCS | {"docs/S1/c.tar.gz": b"3"},
    ),
}  # fmt: skip

QUERIES: Final = {
    "metadata queries bring names": case(
        spec(
            document(
                columns={"note": "{Species} aged {Age}"},
                metadata_query_templates=["/entity/lab:Subject/Code={subject}"],
            )
        ),
        DOCS,
        fails=(),
    ),
    "a query may use what one before it brought": case(
        spec(
            document(
                columns={"note": "{Description}"},
                metadata_query_templates=[
                    "/attribute/lab:Subject/Code={subject}/Species",
                    "/attribute/lab:Species/Name={Species}/Description",
                ],
            )
        ),
        DOCS,
    ),
    "numbers and NULLs of a query keep their type": case(
        spec(
            scan(
                columns={"Exposure": "{Weight}", "Channel": "{Age}"},
                metadata_query_templates=["/entity/lab:Subject/Code={subject}"],
            )
        ),
        {f"scans/S{n}/{n}.png": str(n).encode() for n in (1, 2, 3)},
    ),
    "a query without an answer fails the file": case(
        spec(
            scan(
                columns={"Note": "{Species}"},
                file_pattern=r"/scans/(?P<subject>[^/]+)/(?P<asked>[^/]+)/",
                metadata_query_templates=["/entity/lab:Subject/Code={asked}"],
            )
        ),
        {"scans/S1/S2/a.png": b"1", "scans/S1/S9/b.png": b"2", "scans/S1/S1/c.png": b"3"},
        fails=("scans/S1/S9/b.png",),
    ),
    "a query brings no name that is reserved": case(
        spec(
            document(
                columns={"note": "{file_name} {kind}"},
                metadata_query_templates=[
                    "/attribute/lab:Subject/Code={subject}/file_name:=Species,md5:=Code,kind:=Code"
                ],
            )
        ),
        DOCS,
    ),
    "a subject that does not exist fails its file and no other": case(
        spec(scan()), TWO | {"scans/S9/c.png": b"3"}, fails=("scans/S9/c.png",)
    ),
}
