"""deriva-py's own uploader, a child for each tree: `python witness.py`, jobs as of `forks`.

A job has `ready`, `spec` (a file) and `tree`, and perhaps `timeout_s` and `border`: the size above
which files go in chunks, a constant of deriva-py, 25 MiB, too large for many tests. The answer has
what became of every file: its state and the sentence that goes with it.
"""

import os
import warnings
from typing import Any

from forks import answer_jobs, tell

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deriva.core import DEFAULT_SESSION_CONFIG
    from deriva.transfer import GenericUploader
    from deriva.transfer.upload import deriva_upload


def _upload(job: dict[str, Any]) -> None:
    ready, tree = job["ready"], job["tree"]
    timeout_s = job.get("timeout_s", 30)
    deriva_upload.DEFAULT_CHUNK_SIZE = job.get("border", deriva_upload.DEFAULT_CHUNK_SIZE)
    server = {
        "host": ready["host"],
        "protocol": "http",
        "catalog_id": ready["catalog"],
        # No hidden retries: on a 5xx they go on for minutes.
        "session": {
            **DEFAULT_SESSION_CONFIG,
            "retry_connect": 0,
            "retry_read": 0,
            "retry_status_forcelist": [],
            "timeout": [timeout_s, timeout_s],
        },
    }
    uploader = GenericUploader(
        config_file=job["spec"], credential_file=ready["owner_credential_file"], server=server
    )
    raised = None
    try:
        uploader.scanDirectory(tree)
        uploader.uploadFiles()
    except Exception as error:  # noqa: BLE001  # what it raises is a result
        raised = f"{type(error).__name__}: {error}"
    uploader.cleanupTransferState()
    files = {
        os.path.relpath(path, tree): {
            "state": deriva_upload.UploadState[told["State"]],
            "says": told["Status"],
        }
        for path, told in uploader.file_status.items()
    }
    skipped = sorted(os.path.relpath(path, tree) for path in uploader.skipped_files)
    tell({"files": files, "skipped": skipped, "raised": raised})


if __name__ == "__main__":
    answer_jobs(_upload)
