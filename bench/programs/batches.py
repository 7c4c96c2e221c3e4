"""A bare client that inserts rows, a thousand in each request."""

import http.client
import json
from typing import Any

from bench.programs.report import order, report

BATCH = 1000


def _insert(work: dict[str, Any]) -> int:
    """Insert the rows; return how many."""
    connection = http.client.HTTPConnection(work["host"])
    headers = {"Authorization": f"Bearer {work['token']}", "Content-Type": "application/json"}
    columns = work["columns"].split(",")
    for start in range(0, work["count"], BATCH):
        numbers = range(start, min(start + BATCH, work["count"]))
        lines = (work["line"].format(n=number).split(",") for number in numbers)
        rows = [dict(zip(columns, line, strict=True)) for line in lines]
        connection.request("POST", work["path"], json.dumps(rows), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {text.decode()}")
    return work["count"]


if __name__ == "__main__":
    report(lambda: _insert(order()))
