"""What a spec can say of objects, and of what is done to a file before."""

from typing import Final

from oracle.case import DOCS, ONE, TWO, case
from oracle.specs import document, scan, spec

OBJECTS: Final = {
    "one digest alone: MD5": case(
        spec(scan(checksum_types=["md5"])), TWO
    ),
    "the URL names no version": case(spec(scan(hatrac_options={"versioned_urls": False})), TWO),
    "the older word for it": case(spec(scan(hatrac_options={"versioned_uris": "no"})), TWO),
    "the newer word counts": case(
        spec(scan(hatrac_options={"versioned_uris": False, "versioned_urls": True})), TWO
    ),
    "another content under the same name is another version": case(
        spec(document()), DOCS, {"docs/S1/a.txt": b"new", "docs/S2/b.txt": b"two"}
    ),
    "another content is refused where only one version may be": case(
        spec(document(hatrac_options={"allow_versioning": False})),
        DOCS,
        {"docs/S1/a.txt": b"new", "docs/S2/b.txt": b"two"},
        fails=("docs/S1/a.txt",),
    ),
    "force sends the same again": case(
        spec(document(hatrac_options={"force": True})), DOCS, DOCS
    ),
    "folders are made where they may be": case(
        spec(scan(hatrac_templates={"hatrac_uri": "/hatrac/new/{subject}/deep/{md5}"})), TWO
    ),
    "and missed where they may not": case(
        spec(
            scan(
                hatrac_templates={"hatrac_uri": "/hatrac/new/{subject}/{md5}"},
                hatrac_options={"create_parents": False},
            )
        ),
        ONE,
        fails=tuple(ONE),
    ),
    "without a disposition the name is made plain": case(
        spec(scan(hatrac_templates={"hatrac_uri": "/hatrac/Scan/{md5}.{file_name}"})),
        {"scans/S1/a b(1).png": b"1", "scans/S1/plain.png": b"2"},
    ),
    "or left as it is": case(
        spec(
            scan(
                hatrac_templates={"hatrac_uri": "/hatrac/Scan/{md5}.{file_name_urlencoded}"},
                hatrac_options={"sanitize_filenames": False},
            )
        ),
        {"scans/S1/a b(1).png": b"1", "scans/S1/plain.png": b"2"},
    ),
    "by a pattern of its own": case(
        spec(
            scan(
                hatrac_templates={"hatrac_uri": "/hatrac/Scan/{file_name}"},
                hatrac_options={"sanitize_filenames_pattern": "[aeiou]"},
            )
        ),
        {"scans/S1/house.png": b"1"},
    ),
    "the disposition is made plain": case(
        spec(scan()), {"scans/S1/a b(1)é.png": b"1", "scans/S1/plain.png": b"2"}
    ),
    "a disposition that is a mere name": case(
        spec(
            scan(
                hatrac_templates={
                    "hatrac_uri": "/hatrac/Scan/{md5}",
                    "content-disposition": "{subject}-{file_name}",
                }
            )
        ),
        {"scans/S1/a b.png": b"1", "scans/S1/plain.png": b"2"},
    ),
    "the type is guessed by the name": case(
        spec(scan()),
        {f"scans/S1/{name}": name.encode() for name in
         ("a.png", "b.tar.gz", "c.json", "d.TXT", "e", "f.dcm", "g.csv", "h.gz", "i.webp")},
    ),
    "the spec knows types that nobody else does": case(
        spec(
            scan(), mime_overrides={"application/x-scan": ["scn", ".sc2"], "image/other": ["png"]}
        ),
        {f"scans/S1/{name}": name.encode() for name in ("a.scn", "b.sc2", "c.png", "d.SCN")},
    ),
    "an empty file": case(spec(scan(), document()), {"scans/S1/a": b"", "docs/S1/a.txt": b""}),
    "a file in chunks": case(
        spec(
            scan(hatrac_options={"chunk_size": 1000}),
            document(hatrac_options={"chunk_size": "700"}),
        ),
        {"scans/S1/a": bytes(range(250)) * 20, "scans/S1/b": b"x" * 3000, "docs/S1/c": b"y" * 2500},
        border=2000,
    ),
    "one content under two names": case(
        spec(scan()), {"scans/S1/a.png": b"same", "scans/S1/b.png": b"same"}
    ),
    "one name in two folders, two contents": case(
        spec(scan()), {"scans/S1/a.png": b"one", "scans/S2/a.png": b"two"}
    ),
    "one file in two folders that say the same": case(
        spec(scan(file_pattern=r"/scans/(?P<subject>S\d)/")),
        {"scans/S1/x/a.png": b"one", "scans/S1/y/a.png": b"one"},
    ),
    "one object under one name, two rows": case(
        spec(scan(hatrac_templates={"hatrac_uri": "/hatrac/Scan/{md5}"},
                  hatrac_options={"versioned_urls": True})),
        {"scans/S1/a.png": b"one"},
    ),
    "uploaded twice": case(spec(scan(), document()), TWO | DOCS, TWO | DOCS),
    "uploaded again with more": case(spec(scan(), document()), ONE, TWO | DOCS),
}  # fmt: skip

PROCESSORS: Final = {
    "a file is renamed for the catalog alone": case(
        spec(
            scan(
                pre_processors=[
                    {
                        "processor": "FileRenameProcessor",
                        "processor_params": {
                            "pattern": r"^.*/(?P<stem>[^/]+)[.][^/.]+$",
                            "replacement": "/somewhere/{stem}-of-{subject}.img",
                        },
                    }
                ],
                columns={"Note": "{base_name} {file_ext} {base_path}"},
            )
        ),
        TWO,
    ),
    "a file of names is read": case(
        spec(
            document(
                columns={"note": "{project}", "type": "{kind}"},
                pre_processors=[
                    {
                        "processor": "MetadataProcessor",
                        "processor_params": {"input_file": "@TREE@/project.json"},
                    }
                ],
            )
        ),
        DOCS | {"project.json": b'{"project": "apollo", "kind": "report"}'},
        fails=("project.json",),
        sections={"spec": {"allowed_processors": ["MetadataProcessor"]}},
    ),
    "a processor that only logs": case(
        spec(
            scan(
                pre_processors=[{"processor": "LoggingProcessor"}],
                post_processors=[{"processor": "LoggingProcessor"}],
            )
        ),
        TWO,
    ),
}
