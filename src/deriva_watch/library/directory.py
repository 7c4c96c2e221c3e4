"""`upload_directory`: uploads all of a directory, with the engine of the daemon."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deriva_watch.core.errors import DerivaMLException
from deriva_watch.library.background import Callback, run_in_background
from deriva_watch.library.connection import Model, Target
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
    """Upload the files of a directory; return when they are in the catalog.

    An execution directory, or a folder inside one, is uploaded as that execution: objects, rows,
    and links to it and to asset types. A folder that contains several is uploaded one execution
    after the other, with the tables of `deriva-ml/table` and all other files. Files outside of
    executions follow the bulk spec and are linked to none. Files that no mapping matches are left
    out; a line in the log ("deriva_watch") counts and names them.

    Files that are already in the catalog are not sent again, neither by a second call nor after a
    kill: a half-sent large file continues where it stopped. For this, a journal is kept for every
    server, catalog and directory, in `$XDG_STATE_HOME/deriva-watch/uploads` (`~/.local/state/…`).
    It contains no secrets. Two calls cannot upload one directory at the same time.

    Any thread may call it; the work is done in other threads.

    Args:
        model: `DerivaModel`, or deriva-ml's own. Scheme, host, catalog and credentials are those
            of its `catalog`.
        directory: The directory.
        progress_callback: Called in the caller's thread. An exception of it is logged, and does
            not stop the upload.
        max_retries: How often temporary failures are retried: a server that is away or busy, a
            file that changed during the upload. Refused files are not retried.
        retry_delay: Seconds before the first retry; doubled each time.
        timeout: Seconds (connect, read); (600, 600) by default. The first also limits the time
            to send a block of a body.
        chunk_size: Length of the chunks of large files, in bytes; at most 128 MiB.

    Returns:
        The result of every uploaded file, by absolute path. The `result` of an asset is its row
        in the catalog, that of a file of rows `{"table": …, "rows": <number>}`.

    Raises:
        DerivaMLException: Some files could not be uploaded; it names each one and why. The
            others are in the catalog.
    """
    path = Path(os.path.abspath(directory))  # noqa: PTH100  # resolving would change the names
    if not path.is_dir():
        raise DerivaMLException(f"cannot upload {path}: there is no such directory")
    target = Target.of(model, ["directory", path], timeout, chunk_size)
    run = Run(path, target, parts_of(path), max_retries, retry_delay)
    callback = Callback(progress_callback)
    tracker = Tracker(callback, target.settings.transfer.chunk_bytes)
    try:
        return run_in_background(run.work, tracker.handle, run.stop)
    finally:
        callback.close()
