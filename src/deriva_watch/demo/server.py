"""Plain HTTP to the sandbox, for the producer and for the check.

It shares no code with the daemon's own client: who checks a thing must not believe it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

Row = dict[str, Any]

_BLOCK_BYTES: Final = 1 << 20
# A catalog aborts one of two writes at the same time with 503; the answer is to ask again.
_AGAIN: Final = Retry(
    total=20, status_forcelist=[503], backoff_factor=0.05, backoff_max=1, allowed_methods=None
)


class Server:
    """The server as its owner sees it.

    Args:
        ready: What the sandbox said when it was ready.
    """

    def __init__(self, ready: dict[str, str]) -> None:
        credentials = json.loads(Path(ready["owner_credential_file"]).read_text())
        self.url = ready["url"]
        self._catalog = f"{self.url}/ermrest/catalog/{ready['catalog']}"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands before this machine itself
        self._session.mount("http://", HTTPAdapter(max_retries=_AGAIN))
        token = credentials[ready["host"]]["bearer-token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def schema(self) -> Any:
        """Return the catalog's /schema document."""
        return self._ask("GET", f"{self._catalog}/schema").json()

    def tables(self) -> list[str]:
        """Return the name of every table that is not the server's own, as "schema:table"."""
        schemas = self.schema()["schemas"]
        return [
            f"{name}:{t}" for name in schemas if name != "public" for t in schemas[name]["tables"]
        ]

    def rows(self, table: str) -> list[Row]:
        """Return all rows of "schema:table"."""
        found: list[Row] = self._ask("GET", f"{self._catalog}/entity/{table}").json()
        return found

    def insert(self, table: str, rows: Iterable[Row]) -> list[Row]:
        """Insert *rows* and return them as the catalog has them."""
        made: list[Row] = self._ask(
            "POST", f"{self._catalog}/entity/{table}", json=list(rows)
        ).json()
        return made

    def set_status(self, rid: str, status: str) -> None:
        """Set the Status of an Execution, as deriva-ml does."""
        url = f"{self._catalog}/attributegroup/deriva-ml:Execution/RID;Status"
        self._ask("PUT", url, json=[{"RID": rid, "Status": status}])

    def sha256(self, url: str) -> str:
        """Return the SHA-256 of what GET gives for an object version, or why it gives nothing."""
        digest = hashlib.sha256()
        with self._session.get(self.url + url, timeout=60, stream=True) as answer:
            if not answer.ok:
                return f"{answer.status_code} {answer.reason}"
            for block in answer.iter_content(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def versions(self, namespace: str) -> list[str]:
        """Return every version of every object in "/hatrac/<namespace>"; none: no such thing."""
        answer = self._session.get(f"{self.url}/hatrac/{quote(namespace)}", timeout=60)
        if answer.status_code == requests.codes.not_found:
            return []
        return [
            version
            for name in answer.json()
            for version in self._ask("GET", f"{self.url}{name};versions").json()
        ]

    def _ask(self, method: str, url: str, **options: Any) -> requests.Response:
        answer = self._session.request(method, url, timeout=60, **options)
        answer.raise_for_status()
        return answer
