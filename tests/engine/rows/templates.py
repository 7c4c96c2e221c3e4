"""A catalog, and specs for it, whose mappings are followed to the letter."""

import json
from contextlib import contextmanager

from deriva_watch.sandbox import starter
from engine.rig import Lab
from running import sandbox

SCAN, LOOSE = "lab:Scan", "lab:Loose"

MAPPING = {
    "file_pattern": "/scans/(?P<subject>[^/]+)/(?P<name>[^/]+)[.]tif$",
    "target_table": ["lab", "Scan"],
    "column_map": {
        "Name": "{name}",
        "URL": "{URI}",
        "MD5": "{md5}",
        "Length": "{file_size}",
        "Subject": "{subject}",
    },
    "hatrac_templates": {"hatrac_uri": "/hatrac/lab/{subject}/{name}.tif"},
    "record_query_template": "/entity/{target_table}/Name={name}",
}


def catalog(folder, annotation=None):
    """Return the files of a catalog with tables that are no assets of deriva-ml."""
    builder = starter._Builder()
    document = builder.document()
    column = builder._column
    kinds = {"URL": "text", "MD5": "text", "Length": "int8", "Subject": "text"}
    kinds |= {"Visit": "int4", "Taken": "date", "Notes": "markdown", "Sure": "boolean"}
    columns = [column(name, kind) for name, kind in kinds.items()]
    tables = {
        "Scan": builder._table("lab", "Scan", [column("Name", needed=True), *columns], [["Name"]]),
        "Loose": builder._table("lab", "Loose", [column("Name"), *columns]),
    }
    document["schemas"]["lab"] = {"schema_name": "lab", "annotations": {}, "tables": tables}
    if annotation is not None:
        document["annotations"] = {"tag:isrd.isi.edu,2017:bulk-upload": annotation}
    schema, rows = folder / "schema.json", folder / "rows.json"
    schema.write_text(json.dumps(document))
    rows.write_text(json.dumps(starter.ROWS))
    return {"schema": schema, "rows": rows}


@contextmanager
def lettered(folder, annotation=None):
    """Run a sandbox with such a catalog."""
    folder.mkdir(parents=True, exist_ok=True)
    with sandbox(folder / "data", **catalog(folder, annotation)) as ready:
        yield ready


class Letters(Lab):
    """An execution that is uploaded by a spec of its own; names are its own, too."""

    def __init__(self, folder, ready):
        super().__init__(folder, ready)
        self.name = f"n{self.rid}"
        self.path = f"scans/1-S001/{self.name}.tif"

    def spec(self, *changes, **more):
        """Return the settings for a spec: one mapping for each of *changes* to the usual one."""
        mappings = [MAPPING | change for change in changes or ({},)]
        file = self.folder / "spec.json"
        file.write_text(json.dumps({"asset_mappings": mappings, **more}))
        allowed = more.pop("allowed", [])
        return {"source": "file", "file": file, "allowed_processors": allowed}

    def bring(self, *changes, files=None, allowed=(), who="owner", power=None, **more):
        """Upload *files*; return the record and the rig."""
        self.write({self.path: self.rid} if files is None else files)
        spec = self.spec(*changes, **more) | {"allowed_processors": list(allowed)}
        with self.rigged(who, spec=spec, power=power) as rig:
            return rig.bring(), rig

    def rows(self, table=SCAN):
        """Return the rows of a table that are this execution's, without what the server fills."""
        system = {"RCT", "RMT", "RCB", "RMB", "RID"}
        return [
            {name: value for name, value in row.items() if name not in system and value is not None}
            for row in self.api.rows(table)
            if self.rid in json.dumps(row)
        ]

    def row(self, table=SCAN):
        """Return the only one."""
        (row,) = self.rows(table)
        return row

    def whys(self):
        """Return why files were refused."""
        return [file.why for file in self.files().values() if file.why]
