"""`upload_directory`: whatever a directory holds, on the engine of the daemon."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deriva_watch.core.errors import DerivaMLException
from deriva_watch.library.connection import Model, Target
from deriva_watch.library.hearing import Callback, heard
from deriva_watch.library.parts import parts_of
from deriva_watch.library.progress import FileUploadState, UploadProgress
from deriva_watch.library.run import Run
from deriva_watch.library.tracking import Tracker


def upload_directory(  # noqa: PLR0913, PLR0917  # the parameters of the original
    model: Model,
    directory: Path | str,
    progress_callback: Callable[[UploadProgress], None] | None = None,
    max_retries: int = 3,
    retry_delay: float = 5.0,
    timeout: tuple[int, int] | None = None,
    chunk_size: int | None = None,
) -> dict[Any, FileUploadState] | None:
    """Upload the files of a directory, and come back when they are in the catalog.

    An execution directory, or a folder inside one, goes the way of that execution: objects, rows,
    links to it and to asset types. A folder that holds several is uploaded execution by execution,
    with the tables of `deriva-ml/table` and all other files. What lies in no execution follows the
    bulk spec and is linked to none. Files that no mapping takes are left out; a line in the log
    ("deriva_watch") counts and names them.

    What is in already is not sent again: not in a second call, and not after a kill, when half
    a large file goes on where it stopped. The memory of that is a journal for every server,
    catalog and directory, in `$XDG_STATE_HOME/deriva-watch/uploads` (`~/.local/state/…`). No
    secret is in it. Two calls cannot work on one directory at the same time.

    It may be called from any thread. The work is done in other threads.

    Args:
        model: `DerivaModel`, or deriva-ml's own. Scheme, host, catalog and credentials are those
            of its `catalog`.
        directory: The directory.
        progress_callback: Is called in the thread of the caller. What it raises is logged, and
            does not stop the upload.
        max_retries: How often what failed is tried again, if it may pass: a server that is away
            or busy, a file that changed meanwhile. What is refused is not tried again, because
            it would be the same.
        retry_delay: Seconds before the first of these; they double each time.
        timeout: Seconds (connect, read); (600, 600) by default. The first also bounds how long
            a block of a body may take to leave.
        chunk_size: Length of the chunks of large files, in bytes; at most 128 MiB.

    Returns:
        What became of every file that was taken, by absolute path; `result` of an asset is its
        row in the catalog, of a file of rows `{"table": …, "rows": <number>}`.

    Raises:
        DerivaMLException: Something is not in; it names every such file and why. The others are
            in, and stay.
    """
    path = Path(os.path.abspath(directory))  # noqa: PTH100  # resolving would change the names
    if not path.is_dir():
        raise DerivaMLException(f"cannot upload {path}: there is no such directory")
    target = Target.of(model, ["directory", path], timeout, chunk_size)
    run = Run(path, target, parts_of(path), max_retries, retry_delay)
    callback = Callback(progress_callback)
    tracker = Tracker(callback, target.settings.transfer.chunk_bytes)
    try:
        return heard(run.work, tracker.hear, run.stop)
    finally:
        callback.close()
