"""DOES. The upload pipeline, written against the small Protocols in `ports`."""
