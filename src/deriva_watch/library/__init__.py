"""The engine as functions: uploads that a program asks for, and waits for."""

from deriva_watch.library.asset import upload_asset
from deriva_watch.library.directory import upload_directory

__all__ = ["upload_asset", "upload_directory"]
