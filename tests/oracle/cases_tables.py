"""Files of rows, and the spec that our own library makes."""

from typing import Final

from oracle.case import TWO, case
from oracle.specs import document, generated, scan, spec, table

_READING: Final = "records/lab/Reading"
_CSV: Final = "Name,Value,Subject,Unit\n"
_ASSETS: Final = "deriva-ml/execution/1-ABC/asset/lab"

TABLES: Final = {
    "a CSV file is rows": case(
        spec(table(), scan()),
        {f"{_READING}.csv": f"{_CSV}a,1.5,S1,mm\nb,2,,cm\n".encode(), **TWO},
    ),
    "texts of a CSV file may have commas, quotes and lines": case(
        spec(table()),
        {f"{_READING}.csv": f'{_CSV}"a, b",1,S1,mm\n"say ""no""",2,S2,"two\nlines"\n'.encode()},
    ),
    "a JSON file is rows": case(
        spec(table()),
        {
            f"{_READING}.json": b'[{"Name": "a", "Value": 1.5, "Subject": "S1", "Unit": "mm"},'
            b' {"Name": "b", "Value": null, "Subject": null, "Unit": "cm"}]'
        },
    ),
    "columns may take their default": case(
        spec(table(default_columns=["RID", "RCB", "RMB", "RCT", "RMT", "Unit"])),
        {f"{_READING}.csv": b"Name,Value,Subject\na,1.5,S1\n"},
    ),
    "a spec that our library makes": case(
        generated(),
        {
            f"{_ASSETS}/Scan/7/0.5/__NULL__/S1/2026-02-03/a.png": b"1",
            f"{_ASSETS}/Scan/__NULL__/__NULL__/a%2Fb%20c/S2/__NULL__/b.tar.gz": b"2",
            f"{_ASSETS}/Blob/c.bin": b"3",
            f"{_ASSETS}/Blob/none": b"",
            "deriva-ml/table/lab/Reading/Reading.csv": f"{_CSV}a,1.5,S1,mm\n".encode(),
            f"{_ASSETS}/Blob/deeper/d.bin": b"4",
        },
        fails=(f"{_ASSETS}/Blob/deeper/d.bin",),
    ),
    "a directory becomes a bag": case(
        spec(
            document(
                file_pattern=None,
                dir_pattern=r"^(?P<archive_path>.*/bags/(?P<subject>S1))(?:/|$)",
                pre_processors=[{"processor": "BagArchiveProcessor"}],
                columns={"note": "{base_name} {file_ext}"},
            )
        ),
        {"bags/S1/x.txt": b"x", "bags/S1/deep/y.txt": b"y"},
        brings=frozenset({"bags/S1"}),
    ),
}
