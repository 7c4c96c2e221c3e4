"""deriva-py's own uploader over a tree."""

import warnings
from typing import Any

from bench.programs.report import order, report

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deriva.core import DEFAULT_SESSION_CONFIG
    from deriva.transfer import GenericUploader
    from deriva.transfer.upload import deriva_upload


def _upload(work: dict[str, Any]) -> int:
    """Upload a tree; return how many files are in the catalog."""
    ready = work["ready"]
    deriva_upload.DEFAULT_CHUNK_SIZE = work["chunk_bytes"]  # its own: 25 MiB
    server = {
        "host": ready["host"],
        "protocol": "http",
        "catalog_id": ready["catalog"],
        "session": DEFAULT_SESSION_CONFIG,
    }
    uploader = GenericUploader(
        config_file=work["spec"], credential_file=ready["owner_credential_file"], server=server
    )
    uploader.scanDirectory(work["tree"])
    uploader.uploadFiles()
    uploader.cleanupTransferState()
    states = [told["State"] for told in uploader.file_status.values()]
    if set(states) != {deriva_upload.UploadState.Success}:
        raise RuntimeError(str(uploader.file_status))
    return len(states)


if __name__ == "__main__":
    report(lambda: _upload(order()))
