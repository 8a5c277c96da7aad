"""Flows: whole runs of a bill, with and without Prefect, and the command line."""

import os

# Here, since it must come before Prefect is imported, whoever imports it: its own 20 s to start a server are too few on
# a small machine, it posts analytics unless told not to, and its INFO lines go to its database one by one.
for _name, _value in {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}.items():
    os.environ.setdefault(_name, _value)
