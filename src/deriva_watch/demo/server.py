"""Plain HTTP to the sandbox, for the programs and for the check.

It shares no code with the daemon's own client: a check must not rely on what it checks.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

Row = dict[str, Any]

# The catalog answers one of two concurrent writes with 503; the client has to ask again.
_RETRY: Final = Retry(
    total=20, status_forcelist=[503], backoff_factor=0.05, backoff_max=1, allowed_methods=None
)


class Server:
    """The server, asked as its owner.

    Args:
        ready: The line that the sandbox printed when it was ready.
    """

    def __init__(self, ready: dict[str, str]) -> None:
        credentials = json.loads(Path(ready["owner_credential_file"]).read_text())
        self.url = ready["url"]
        self._catalog = f"{self.url}/ermrest/catalog/{ready['catalog']}"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy leads to this machine itself
        self._session.mount("http://", HTTPAdapter(max_retries=_RETRY))
        token = credentials[ready["host"]]["bearer-token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def schema(self) -> Any:
        """Return the catalog's /schema document."""
        return self._ask("GET", f"{self._catalog}/schema").json()

    def tables(self) -> list[str]:
        """Return every table that is not the server's own, as "schema:table"."""
        schemas = self.schema()["schemas"]
        return [f"{s}:{table}" for s in schemas if s != "public" for table in schemas[s]["tables"]]

    def rows(self, table: str) -> list[Row]:
        """Return all rows of "schema:table"."""
        found: list[Row] = self._ask("GET", f"{self._catalog}/entity/{table}").json()
        return found

    def insert(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """Insert *rows*; return them as the catalog has them."""
        made: list[Row] = self._ask("POST", f"{self._catalog}/entity/{table}", rows).json()
        return made

    def set_status(self, rid: str, status: str) -> None:
        """Set the Status of an Execution, as deriva-ml does."""
        url = f"{self._catalog}/attributegroup/deriva-ml:Execution/RID;Status"
        self._ask("PUT", url, [{"RID": rid, "Status": status}])

    def sha256(self, url: str) -> str:
        """Return the SHA-256 of an object version, or the error that GET answers."""
        answer = self._session.get(self.url + url, timeout=60)
        if not answer.ok:
            return f"{answer.status_code} {answer.reason}"
        return hashlib.sha256(answer.content).hexdigest()

    def versions(self, namespace: str) -> list[str]:
        """Return all versions of all objects in "/hatrac/<namespace>", which may not exist."""
        answer = self._session.get(f"{self.url}/hatrac/{quote(namespace)}", timeout=60)
        names = [] if answer.status_code == requests.codes.not_found else answer.json()
        urls = [f"{self.url}{name};versions" for name in names]
        return [version for url in urls for version in self._ask("GET", url).json()]

    def _ask(self, method: str, url: str, body: Any = None) -> requests.Response:
        answer = self._session.request(method, url, timeout=60, json=body)
        answer.raise_for_status()
        return answer
