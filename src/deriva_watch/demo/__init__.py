"""The demo: a server, a daemon and a program that writes executions, on one screen."""
