"""Which files a folder holds, and which of them may be opened: listing, scanning, opening.

It changes nothing on the disk.
"""
