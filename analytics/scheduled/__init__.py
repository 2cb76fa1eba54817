"""Exports that the worker makes by itself when a period is over."""
