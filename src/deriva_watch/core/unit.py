"""What is uploaded as one."""

from pathlib import Path

Key = tuple[Path, str]  # prefix, RID
