"""DECIDES. Values and pure functions: no clock, disk, thread, network, log or client library."""
