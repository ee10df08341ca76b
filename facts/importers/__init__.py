"""Importers: other people's tables become events."""
