"""The object store: the part of Hatrac that upload clients use."""
