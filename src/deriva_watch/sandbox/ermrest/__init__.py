"""The catalog service: the part of ERMrest that upload clients use."""
