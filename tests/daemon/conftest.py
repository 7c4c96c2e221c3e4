"""The sandbox and the executions that tests of the engine use."""

from engine.conftest import fresh, lab, ready

__all__ = ["fresh", "lab", "ready"]
