"""How many examples of a property are tried; `make soak` asks for more."""

from hypothesis import settings

settings.register_profile("soak", max_examples=4_000, deadline=None)
settings.register_profile("quick", max_examples=40, deadline=None)
settings.load_profile("quick")
