"""The default catalog of a new sandbox: deriva-ml and a small lab."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from deriva_watch.sandbox.ermrest import rid

Document = dict[str, Any]
Link = tuple[str, tuple[str, str], str]  # column -> (schema, table), key column

CLIENTS: Final = ("public", "ERMrest_Client")
ASSET_TAG: Final = "tag:isrd.isi.edu,2017:asset"
DOMAINS: Final = {
    "ermrest_rid": "text",
    "ermrest_rct": "timestamptz",
    "ermrest_rmt": "timestamptz",
    "ermrest_rcb": "text",
    "ermrest_rmb": "text",
    "ermrest_curie": "text",
    "ermrest_uri": "text",
    "markdown": "text",
}
VOCABULARIES: Final = {
    "deriva-ml": ["Asset_Role", "Asset_Type", "Execution_Status", "Feature_Name"],
    "demo": ["Image_Quality"],
}
TERMS: Final = {
    "deriva-ml:Asset_Role": {
        "Input": "Asset used for input of an execution.",
        "Output": "Asset used for output of an execution.",
    },
    "deriva-ml:Asset_Type": {
        "Execution_Config": "Configuration file of an execution.",
        "Runtime_Env": "Description of the environment an execution ran in.",
        "Execution_Metadata": "Information about an execution.",
        "Execution_Asset": "A file made by an execution.",
        "Input_File": "A file read by an execution.",
        "Output_File": "A file written by an execution.",
        "Model_File": "A trained model.",
        "Notebook_Output": "A notebook with its results.",
        "Image": "An image.",
    },
    "deriva-ml:Execution_Status": {
        "Created": "The row is there; work has not started.",
        "Running": "The program runs.",
        "Stopped": "The program has ended well; its outputs are not uploaded.",
        "Failed": "The program has ended with an error.",
        "Pending_Upload": "The outputs are being uploaded.",
        "Uploaded": "All outputs are in the catalog.",
        "Aborted": "Somebody has stopped the execution.",
        "Completed": "The execution has ended, as older versions say.",
    },
    "deriva-ml:Feature_Name": {"Quality": "How good an image is."},
    "demo:Image_Quality": {"Good": "Fit for use.", "Bad": "Unfit for use."},
}
ROWS: Final[list[Document]] = [
    *(
        {
            "table": table,
            "rows": [
                {"Name": name, "Description": text, "Synonyms": []} for name, text in terms.items()
            ],
        }
        for table, terms in TERMS.items()
    ),
    {
        "table": "deriva-ml:Workflow",
        "rows": [
            {
                "RID": "1-W001",
                "Name": "Image acquisition",
                "Description": "Takes images of subjects.",
                "URL": "https://example.org/workflows/acquire",
                "Checksum": "0000000000000000000000000000000000000000",
                "Version": "1.0",
            }
        ],
    },
    {
        "table": "demo:Subject",
        "rows": [{"RID": f"1-S00{number}", "Name": f"subject-{number}"} for number in (1, 2, 3)],
    },
    {
        "table": "demo:Observation",
        "rows": [{"RID": "1-B001", "Subject": "1-S001", "Observation_Date": "2026-03-02"}],
    },
]


def schema_text() -> str:
    """Return the ``/schema`` document, with placeholders for values that the server fills in."""
    return json.dumps(_Builder().document())


class _Builder:
    """Builds the document and numbers its parts."""

    def __init__(self) -> None:
        self._numbers = itertools.count(2, 2)

    def document(self) -> Document:
        owner, writer = ["${owner_id}"], ["${writer_id}"]
        return {
            "snaptime": "0",
            "annotations": {},
            "rights": {"owner": True, "create": True},
            "acls": {
                "owner": owner,
                **dict.fromkeys(("enumerate", "select", "insert"), writer),
                **{access: [] for access in ("create", "update", "delete", "write")},
            },
            "schemas": {
                name: {
                    "RID": self._rid(),
                    "schema_name": name,
                    "comment": None,
                    "annotations": {},
                    "rights": {"owner": True, "create": True},
                    "acls": {},
                    "tables": {table["table_name"]: table for table in tables},
                }
                for name, tables in (
                    ("public", self._public()),
                    ("deriva-ml", self._deriva_ml()),
                    ("demo", self._demo()),
                )
            },
        }

    def _public(self) -> Iterator[Document]:
        names = ["Display_Name", "Full_Name", "Email"]
        columns = [
            self._column("ID", needed=True),
            *(self._column(name) for name in names),
            self._column("Client_Object", "jsonb", needed=True),
        ]
        nobody: dict[str, list[str]] = {
            access: [] for access in ("delete", "select", "update", "insert", "enumerate")
        }
        yield self._table("public", CLIENTS[1], columns, [["ID"]], acls=nobody)
        columns = [self._column("ID")]
        acls = {"delete": [], "select": [], "update": [], "enumerate": ["*"]}
        yield self._table("public", "ERMrest_RID_Lease", columns, [["RCB", "ID"]], acls=acls)

    def _deriva_ml(self) -> Iterator[Document]:
        yield from map(self._vocabulary, itertools.repeat("deriva-ml"), VOCABULARIES["deriva-ml"])
        columns = [self._column(name) for name in ("Name", "Description", "URL")]
        columns += [self._column(name) for name in ("Checksum", "Version")]
        yield self._table("deriva-ml", "Workflow", columns)
        columns = [self._column("Workflow"), self._column("Description", "markdown")]
        columns += [self._column(name) for name in ("Duration", "Status", "Status_Detail")]
        links: list[Link] = [
            ("Workflow", ("deriva-ml", "Workflow"), "RID"),
            ("Status", ("deriva-ml", "Execution_Status"), "Name"),
        ]
        yield self._table("deriva-ml", "Execution", columns, links=links)
        for name in ("Execution_Asset", "Execution_Metadata"):
            yield from self._asset("deriva-ml", name, [], [])

    def _demo(self) -> Iterator[Document]:
        yield self._vocabulary("demo", "Image_Quality")
        yield self._table("demo", "Subject", [self._column("Name", needed=True)], [["Name"]])
        subject: Link = ("Subject", ("demo", "Subject"), "RID")
        columns = [self._column("Observation_Date", "date"), self._column("Subject", needed=True)]
        yield self._table("demo", "Observation", columns, links=[subject])
        columns = [
            self._column("Acquisition_Time", "timestamp"),
            self._column("Acquisition_Date", "date"),
            self._column("Subject", needed=True),
            self._column("Observation"),
        ]
        links: list[Link] = [subject, ("Observation", ("demo", "Observation"), "RID")]
        yield from self._asset("demo", "Image", columns, links)
        columns = [
            self._column("Execution", needed=True),
            self._column("Image", needed=True),
            self._column("Feature_Name", needed=True, default="Quality"),
            self._column("Image_Quality", needed=True),
        ]
        links = [
            ("Execution", ("deriva-ml", "Execution"), "RID"),
            ("Image", ("demo", "Image"), "RID"),
            ("Feature_Name", ("deriva-ml", "Feature_Name"), "Name"),
            ("Image_Quality", ("demo", "Image_Quality"), "Name"),
        ]
        key = ["Execution", "Image", "Feature_Name"]
        yield self._table("demo", "Execution_Image_Quality", columns, [key], links)
        yield from self._instruments()

    def _instruments(self) -> Iterator[Document]:
        """Add the tables for instruments whose files only have paths."""
        columns = [self._column("Plate", needed=True), self._column("Well", needed=True)]
        columns += [self._column("Site", "int4"), self._column("Objective")]
        yield from self._asset("demo", "Micrograph", columns, [])
        columns = [self._column("Run", needed=True), self._column("Instrument")]
        columns += [self._column("Lane", "int2"), self._column("Cycle", "int4")]
        yield from self._asset("demo", "Sequencer_File", columns, [])

    def _vocabulary(self, schema: str, name: str) -> Document:
        columns = [
            self._column("ID", "ermrest_curie", needed=True, default=f"{schema}:{{RID}}"),
            self._column("URI", "ermrest_uri", needed=True, default="/id/{RID}"),
            self._column("Name", needed=True),
            self._column("Description", "markdown", needed=True),
            self._column("Synonyms", "text[]"),
        ]
        return self._table(schema, name, columns, [["ID"], ["URI"], ["Name"]])

    def _asset(
        self, schema: str, name: str, metadata: list[Document], links: list[Link]
    ) -> Iterator[Document]:
        """Add an asset table with its links to executions and types."""
        url = self._column("URL", needed=True)
        url["annotations"][ASSET_TAG] = {
            "md5": "MD5",
            "url_pattern": f"/hatrac/{name}/{{{{{{MD5}}}}}}.{{{{{{Filename}}}}}}",
            "filename_column": "Filename",
            "byte_count_column": "Length",
        }
        columns = [
            url,
            self._column("Filename"),
            self._column("Description", "markdown"),
            self._column("Length", "int8", needed=True),
            self._column("MD5", needed=True),
            *metadata,
        ]
        yield self._table(schema, name, columns, [["URL"]], links)
        asset: Link = (name, (schema, name), "RID")
        execution: Link = ("Execution", ("deriva-ml", "Execution"), "RID")
        role: Link = ("Asset_Role", ("deriva-ml", "Asset_Role"), "Name")
        kind: Link = ("Asset_Type", ("deriva-ml", "Asset_Type"), "Name")
        yield self._association(schema, f"{name}_Execution", [asset, execution], [role])
        yield self._association(schema, f"{name}_Asset_Type", [asset, kind], [])

    def _association(self, schema: str, name: str, key: list[Link], more: list[Link]) -> Document:
        columns = [self._column(column, needed=True) for column, _, _ in key + more]
        key_columns = [column for column, _, _ in key]
        return self._table(schema, name, columns, [key_columns], key + more, "CASCADE")

    def _table(  # noqa: PLR0913, PLR0917 - the parts of a table
        self,
        schema: str,
        name: str,
        columns: Iterable[Document],
        keys: Sequence[Sequence[str]] = (),
        links: Sequence[Link] = (),
        on_change: str = "NO ACTION",
        acls: dict[str, list[str]] | None = None,
    ) -> Document:
        stamps: list[Link] = [(column, CLIENTS, "ID") for column in ("RCB", "RMB")]
        return {
            "RID": self._rid(),
            "schema_name": schema,
            "table_name": name,
            "kind": "table",
            "comment": None,
            "annotations": {},
            "rights": dict.fromkeys(("owner", "select", "insert", "update", "delete"), True),
            "acls": acls or {},
            "acl_bindings": {},
            "column_definitions": [*self._system_columns(), *columns],
            "keys": [self._key(schema, name, key) for key in (["RID"], *keys)],
            "foreign_keys": [
                self._reference(schema, name, link, change)
                for some, change in (
                    ([] if schema == "public" else stamps, "NO ACTION"),
                    (links, on_change),
                )
                for link in some
            ],
        }

    def _system_columns(self) -> Iterator[Document]:
        yield self._column(
            "RID",
            "ermrest_rid",
            needed=True,
            default="_ermrest.urlb32_encode(nextval('_ermrest.rid_seq'::regclass))",
        )
        for name in ("RCT", "RMT"):
            yield self._column(name, f"ermrest_{name.lower()}", needed=True, default="now()")
        for name in ("RCB", "RMB"):
            default = "_ermrest.current_client()"
            yield self._column(name, f"ermrest_{name.lower()}", default=default)

    def _column(
        self, name: str, typename: str = "text", *, needed: bool = False, default: Any = None
    ) -> Document:
        kind: Document = {"typename": typename}
        if typename in DOMAINS:
            kind.update(is_domain=True, base_type={"typename": DOMAINS[typename]})
        elif typename.endswith("[]"):
            kind.update(is_array=True, base_type={"typename": typename.removesuffix("[]")})
        return {
            "RID": self._rid(),
            "name": name,
            "type": kind,
            "nullok": not needed,
            "default": default,
            "comment": None,
            "annotations": {},
            "rights": dict.fromkeys(("select", "insert", "update", "delete"), True),
            "acls": {},
            "acl_bindings": {},
        }

    def _key(self, schema: str, table: str, columns: Sequence[str]) -> Document:
        return {
            "RID": self._rid(),
            "names": [[schema, f"{table}_{'_'.join(columns)}_key"]],
            "unique_columns": list(columns),
            "comment": None,
            "annotations": {},
        }

    def _reference(self, schema: str, table: str, link: Link, on_change: str) -> Document:
        column, (target_schema, target), key_column = link
        return {
            "RID": self._rid(),
            "names": [[schema, f"{table}_{column}_fkey"]],
            "foreign_key_columns": [
                {"schema_name": schema, "table_name": table, "column_name": column}
            ],
            "referenced_columns": [
                {"schema_name": target_schema, "table_name": target, "column_name": key_column}
            ],
            "on_delete": on_change,
            "on_update": on_change,
            "rights": {"insert": True, "update": True},
            "comment": None,
            "annotations": {},
            "acls": {"insert": ["*"], "update": ["*"]},
            "acl_bindings": {},
        }

    def _rid(self) -> str:
        return rid.encode(next(self._numbers))
