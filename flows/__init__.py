"""Flows: whole runs of a bill, with and without Prefect, and the command line."""
