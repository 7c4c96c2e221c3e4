"""What a spec can say of paths and of the tables that files go to."""

from typing import Final

from oracle.case import DOCS, ONE, TWO, case
from oracle.specs import document, scan, spec

PATTERNS: Final = {
    "the first mapping that fits takes a file": case(
        spec(
            scan(file_pattern=r"/scans/(?P<subject>S1)/", columns={"Note": "first"}),
            scan(columns={"Note": "second"}),
            document(file_pattern=r"/scans/(?P<subject>[^/]+)/"),
        ),
        TWO,
    ),
    "files that no mapping takes are passed over": case(
        spec(scan(ext_pattern=r"[.](?P<file_ext>png)$")),
        TWO | {"notes.txt": b"n", "scans/a.png": b"s"},
        fails=("scans/S2/b.dat", "notes.txt", "scans/a.png"),
    ),
    "three patterns must all fit, and their groups come together": case(
        spec(
            document(
                columns={"note": "{area} {kind} {stem}"},
                dir_pattern=r"/(?P<area>docs)/(?P<subject>S\d)/",
                ext_pattern=r"[.](?P<kind>txt|pdf)$",
                file_pattern=r"/(?P<stem>[^/.]+)[^/]*$",
            )
        ),
        DOCS | {"docs/S1/a.doc": b"x", "other/S1/c.txt": b"y"},
        fails=("docs/S1/a.doc", "other/S1/c.txt"),
    ),
    "ext_pattern ignores case, the others do not": case(
        spec(scan(ext_pattern=r"[.](?P<file_ext>png)$", columns={"Note": "{file_ext}"})),
        {"scans/S1/a.PNG": b"1", "scans/S1/b.pnG": b"2", "SCANS/S1/c.png": b"3"},
        fails=("SCANS/S1/c.png",),
    ),
    "a later pattern's group takes the place of an earlier one's": case(
        spec(
            scan(
                dir_pattern=r"/scans/(?P<subject>S1)/",
                file_pattern=r"/(?P<subject>S\d)[^/]*$",
            )
        ),
        {"scans/S1/S2.png": b"1", "scans/S1/S3-x.png": b"2"},
    ),
    "a group that took no part says nothing": case(
        spec(
            scan(
                file_pattern=r"/scans/(?P<subject>S\d)/(?:(?P<note>n[^/]*)/)?[^/]+$",
                columns={"Note": "{note}"},
            )
        ),
        {"scans/S1/nice/a.png": b"1", "scans/S2/b.png": b"2"},
    ),
    "patterns may look at the path below the directory alone": case(
        spec(
            document(file_pattern=r"^docs/(?P<subject>[^/]+)/[^/]+$"), relative_path_validation=True
        ),
        DOCS | {"more/docs/S1/c.txt": b"x"},
        fails=("more/docs/S1/c.txt",),
    ),
    "without relative_path_validation a pattern sees the whole path": case(
        spec(document(file_pattern=r"^docs/(?P<subject>[^/]+)/[^/]+$"), scan()),
        DOCS | ONE,
        fails=tuple(DOCS),
    ),
    "a file in the top directory has a relative path too": case(
        spec(scan(file_pattern=r"^(?P<subject>S1)-[^/]+$"), relative_path_validation=True),
        {"S1-a.png": b"1"},
    ),
    "names with a leading dot, several dots and none are data": case(
        spec(scan(columns={"Note": "{base_name}|{file_ext}"})),
        {
            f"scans/S1/{name}": name.encode()
            for name in (".hid", "a.tar.gz", "none", "v1.2.x", "d.")
        },
    ),
}

TARGETS: Final = {
    "target_table may be made of groups": case(
        spec(scan(file_pattern=r"/(?P<area>lab)/(?P<what>Scan)/(?P<subject>S\d)/",
                  target_table=["{area}", "{what}"])),
        {"lab/Scan/S1/a.png": b"1"},
    ),
    "groups called schema and table name the table": case(
        spec(scan(file_pattern=r"/(?P<schema>lab)/(?P<table>Scan)/(?P<subject>S\d)/",
                  target_table=None)),
        {"lab/Scan/S1/a.png": b"1"},
    ),
    "also in capitals": case(
        spec(scan(file_pattern=r"/(?P<SCHEMA>lab)/(?P<Table>Scan)/(?P<subject>S\d)/",
                  target_table=None)),
        {"lab/Scan/S1/a.png": b"1"},
    ),
    "the table's name can be part of the object's": case(
        spec(scan(hatrac_templates={"hatrac_uri": "/hatrac/{target_table_urlencoded}/{md5}"})),
        ONE,
    ),
    "two mappings go to two tables": case(spec(document(), scan()), TWO | DOCS),
}  # fmt: skip
