"""The upload of one unit, written against the small Protocols in `ports`."""
