"""This host: log, systemd, processes, problem reports, the folder of orders."""
