"""One execution with files of all kinds, and what each of them has to become.

Nothing here is the engine's: contents, digests and rows are told from what was put on disk.
"""

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, field

from deriva_watch.sandbox import starter
from running import Api, requests_seen, write_config, write_files

CHUNK_BYTES = 1000
IMAGE, ASSET, BOX = "demo:Image", "deriva-ml:Execution_Asset", "demo:BoundingBox"
BOXES, REMARKS = "demo:Execution_Image_BoundingBox", "demo:Execution_Image_Remark"
SUBJECT, VISIT = "demo:Subject", "demo:Observation"
EXECUTION, LEASE = "deriva-ml:Execution", "public:ERMrest_RID_Lease"


def catalog(folder):
    """Return the files of a catalog with two more features: one has files, one no key."""
    builder = starter._Builder()
    document = builder.document()
    tables = document["schemas"]["demo"]["tables"]
    tables |= {t["table_name"]: t for t in builder._asset("demo", "BoundingBox", [], [])}
    common = [
        ("Execution", ("deriva-ml", "Execution"), "RID"),
        ("Image", ("demo", "Image"), "RID"),
        ("Feature_Name", ("deriva-ml", "Feature_Name"), "Name"),
    ]

    def feature(name, value, keys, links):
        columns = [
            builder._column("Execution", needed=True),
            builder._column("Image", needed=True),
            builder._column("Feature_Name", needed=True, default=name),
            builder._column(value, needed=True),
        ]
        table = f"Execution_Image_{name}"
        tables[table] = builder._table("demo", table, columns, keys, [*common, *links])

    box = ("BoundingBox", ("demo", "BoundingBox"), "RID")
    feature("BoundingBox", "BoundingBox", [["Execution", "Image", "Feature_Name"]], [box])
    feature("Remark", "Text", [], [])
    rows = json.loads(json.dumps(starter.ROWS))
    names = next(part for part in rows if part["table"] == "deriva-ml:Feature_Name")
    names["rows"] += [
        {"Name": name, "Description": name, "Synonyms": []} for name in ("BoundingBox", "Remark")
    ]
    for name, content in {"schema": document, "rows": rows}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {"schema": folder / "schema.json", "rows": folder / "rows.json"}


@dataclass(frozen=True)
class Asset:
    """What one or more files on disk have to become: one version, one row, one link.

    Attributes:
        said: The columns of the row that the files tell, beside name, length and digest.
        rid: Of the row, where it was given or is there already.
    """

    table: str
    name: str
    content: bytes
    said: dict = field(default_factory=dict)
    types: frozenset = frozenset()
    rid: str | None = None
    is_adopted: bool = False

    @property
    def md5(self):
        """Of the content, in hexadecimal digits."""
        return hashlib.md5(self.content).hexdigest()

    @property
    def object(self):
        """The name of the object."""
        return f"/hatrac/{self.table.partition(':')[2]}/{self.md5}.{self.name}"

    @property
    def label(self):
        """What stands for the RID of the row."""
        return f"{self.table} {self.name} {self.said.get('Subject')} {self.said.get('Observation')}"


class Scene:
    """The execution, its configuration, and the server as it was before."""

    def __init__(self, folder, ready, who):
        self.ready, self.who, self.api = ready, who, Api(ready)
        self.rid = self.api.execution()
        self.config = write_config(
            folder / "daemon",
            ready,
            folder / "data",
            who=who,
            transfer={"chunk_bytes": CHUNK_BYTES, "connections": 1},
        )
        self.root = folder / "data" / "deriva-ml" / "execution" / self.rid
        self.subjects = [
            row["RID"]
            for row in self.api.insert(SUBJECT, *({"Name": f"{self.rid} {n}"} for n in "ab"))
        ]
        self.leased = Api(ready, who).insert(LEASE, {"ID": f"for {self.rid}"})[0]["RID"]
        known = self._known()
        self.assets = self._assets(known)  # by path
        self.rows = self._rows(known.label)  # by path: table, rows
        write_files(self.root, self._files(known))
        self._asked = len(requests_seen(ready))
        self.before, self.names_before = self.api.tables(), self.names()

    def _known(self):
        """Return an asset that another program brought in; its row says less than our file."""
        asset = Asset(
            IMAGE, "known.bin", f"known {self.rid}".encode(), {"Subject": self.subjects[0]}
        )
        url = f"{self.api.url}{asset.object}?parents=true"
        digest = {"Content-MD5": b64encode(bytes.fromhex(asset.md5)).decode()}
        answer = self.api.call("PUT", url, data=asset.content, headers=digest)
        url = answer.headers["Location"]
        row = {"URL": url, "Filename": asset.name, "MD5": asset.md5, "Length": len(asset.content)}
        made = self.api.insert(IMAGE, row | asset.said)[0]
        return Asset(IMAGE, asset.name, asset.content, asset.said, rid=made["RID"], is_adopted=True)

    def _assets(self, known):
        one, other = self.subjects

        def content(word):
            return f"{word} {self.rid}".encode()

        def image(name, subject=one, **more):
            return Asset(IMAGE, name, content(name), {"Subject": subject}, **more)

        def path(asset):
            middle = [*([asset.rid] if asset.rid and not asset.is_adopted else []), asset.name]
            said = ["__NULL__"] * 3 + [asset.said["Subject"]]
            return "/".join(["asset/demo/Image", *said, *middle])

        both = frozenset(("Model_File", "Output_File"))
        same = Asset(ASSET, "same.bin", content("same"), types=both)
        big = f"{self.rid:*<{2 * CHUNK_BYTES + 500}}".encode()
        box = f"box-{self.rid}.json"
        images = [
            image("small.bin", types=frozenset(("Image",))),
            image("leased.bin", rid=self.leased),
            image("twin.bin"),
            image("twin.bin", other),
            known,
        ]
        told = image("told.bin", types=frozenset(("Image",)))
        told = Asset(
            IMAGE, told.name, told.content, told.said | {"Description": "by hand"}, told.types
        )
        return {path(asset): asset for asset in images} | {
            "assets/Image/told.bin": told,
            "execution-asset/Model_File/same.bin": same,
            "execution-asset/Output_File/same.bin": same,
            "execution-asset/Model_File/big.bin": Asset(
                ASSET, "big.bin", big, types=frozenset(("Model_File",))
            ),
            f"feature/demo/Image/BoundingBox/asset/BoundingBox/{box}": Asset(
                BOX, box, content("box")
            ),
        }

    def _rows(self, image):
        feature = {"Execution": self.rid, "Image": image}
        (box,) = (asset for asset in self.assets.values() if asset.table == BOX)
        boxes = [feature | {"Feature_Name": "BoundingBox", "BoundingBox": box.label}]
        remarks = [feature | {"Feature_Name": "Remark", "Text": text} for text in ("one", "two")]
        visits = [
            {"Subject": self.subjects[0], "Observation_Date": f"2026-02-0{day}"} for day in (1, 2)
        ]
        return {
            "feature/demo/Image/BoundingBox/BoundingBox.jsonl": (BOXES, boxes),
            "feature/demo/Image/Remark/Remark.jsonl": (REMARKS, remarks),
            "table/demo/Subject/Subject.csv": (
                SUBJECT,
                [{"Name": f"{self.rid} new {n}"} for n in (1, 2)],
            ),
            "table/demo/Observation/Observation.csv": (VISIT, visits),
        }

    def _files(self, known):
        """Return the contents of all files by path."""
        (box,) = (path for path, asset in self.assets.items() if asset.table == BOX)
        entry = {
            "asset_table": "Image",
            "schema": "demo",
            "asset_types": ["Image"],
            "metadata": {"Subject": self.subjects[0]},
            "description": "by hand",
            "status": "pending",
            "rid": None,
        }
        manifest = {"version": 1, "execution_rid": self.rid, "assets": {"Image/told.bin": entry}}
        lines = {
            "BoundingBox": [{"Image": known.rid, "BoundingBox": box}],
            "Remark": [{"Image": known.rid, "Text": text} for text in ("one", "two")],
        }
        tables = {
            path: "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
            for path, (_, rows) in self.rows.items()
            if path.endswith(".csv")
        }
        return {
            **{path: asset.content for path, asset in self.assets.items()},
            **{
                f"feature/demo/Image/{name}/{name}.jsonl": "\n".join(map(json.dumps, values))
                for name, values in lines.items()
            },
            **tables,
            "asset-type/demo/Image.jsonl": '{"small.bin": ["Image"]}',
            "asset-manifest.json": json.dumps(manifest),
        }

    def distinct(self):
        """Return every asset once: several files may be one."""
        return list({asset.label: asset for asset in self.assets.values()}.values())

    def requests(self):
        """Return what was asked of the server since the scene was made."""
        return requests_seen(self.ready)[self._asked :]

    def names(self):
        """Return the names of all objects, and of whatever else lies in the namespaces."""
        spaces = self.api.call("GET", f"{self.api.url}/hatrac").json()
        return {n for space in spaces for n in self.api.call("GET", self.api.url + space).json()}

    def tables_of(self, path):
        """Return the table of a file's row or rows, and those of its links."""
        if path in self.rows:
            return self.rows[path][0], ()
        table = self.assets[path].table
        return table, (f"{table}_Execution", f"{table}_Asset_Type")
