"""Files below watched folders: listing, links, receipts, removal, deriva-ml's workspace.

One file for one kind of access; no decisions.
"""
