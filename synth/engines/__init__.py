"""Engines: one file each; heavy imports happen inside functions."""
