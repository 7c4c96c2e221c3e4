"""The rows of the table, one file for each subject."""

from bench.rows import executions, hung, killed, large, small, tables, waits
from bench.site import Row, Sizes


def all_rows(sizes: Sizes) -> list[Row]:
    """Return every row for these sizes."""
    subjects = (small, large, executions, tables, waits, hung, killed)
    return [row for subject in subjects for row in subject.rows(sizes)]
