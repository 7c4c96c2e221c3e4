"""Files below watched folders: receipts, removal, open files, deriva-ml's workspace.

One file for one kind of access; no decisions.
"""
