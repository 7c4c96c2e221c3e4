"""Large files: one, four, and one by a process that has imported nothing yet."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import Figure, faster
from bench.site import MB, Row, Site, Sizes, by_deriva_py, by_floor, by_ours, lab_server
from deriva_watch.core.model import read_model
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from running import Api, directory, sandbox, write_config, write_files


def rows(sizes: Sizes) -> list[Row]:
    """Return the rows."""
    one, four = sizes.large_mb, max(1, sizes.large_mb // 4)
    return [
        Row("one", f"one file of {one} MB", "MB", _all(1, one), _goals(0.9, 1.3)),
        Row("four", f"four files of {four} MB", "MB", _all(4, four), _goals(0.9, 1.8)),
        Row(
            "cold",
            f"one file of {sizes.cold_mb} MB, the whole process",
            "MB",
            {
                "ours": partial(_cold, _our_words, sizes.cold_mb),
                "deriva-py": partial(_cold, _their_words, sizes.cold_mb),
            },
            (faster("deriva-py", 1.1),),
        ),
    ]


def _goals(of_floor: float, of_deriva_py: float) -> tuple[Any, ...]:
    return faster("floor", of_floor), faster("deriva-py", of_deriva_py)


def _all(count: int, mb: int) -> dict[str, Any]:
    runs = {"ours": by_ours, "deriva-py": by_deriva_py, "floor": by_floor}
    return {name: partial(_run, by, count, mb) for name, by in runs.items()}


def _run(by: Any, count: int, mb: int, site: Site, folder: Path) -> Figure:
    with lab_server(folder) as ready:
        return replace(by(site, folder, ready, count, mb * MB), amount=count * mb)


def _cold(words: Any, mb: int, site: Site, folder: Path) -> Figure:
    with sandbox(folder / "server") as ready:
        rid, prefix = Api(ready).execution(), folder / "data"
        content = {"asset/deriva-ml/Execution_Asset/large.bin": bytes(mb * MB)}
        root = write_files(directory(prefix, rid), content)
        ran = site.launch(*words(site, folder, ready, root), site.environment)
        (row,) = Api(ready).rows("deriva-ml:Execution_Asset")
        assert row["Length"] == mb * MB
        return Figure(mb, ran.seconds, ran.cpu_s, ran.peak_mib)


def _our_words(_: Site, folder: Path, ready: dict[str, str], root: Path) -> tuple[str, list[Any]]:
    config = write_config(folder / "daemon", ready, folder / "data")
    return "deriva_watch", ["upload", root, "--config", config]


def _their_words(site: Site, folder: Path, ready: dict[str, str], _: Path) -> tuple[str, list[Any]]:
    spec, order = folder / "spec.json", folder / "order.json"
    schema = Api(ready).call("GET", f"{Api(ready).catalog}/schema").json()
    spec.write_text(json.dumps(bulk_upload_configuration(read_model(schema))))
    what = {"tree": folder / "data", "spec": spec, "chunk_bytes": site.sizes.chunk_bytes}
    order.write_text(json.dumps({"ready": ready, **what}, default=str))
    return "bench.programs.deriva_py", [order]
