"""Registers: what the desk writes itself, each change with its entry on the record."""
