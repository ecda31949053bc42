"""Processors: bytes in, JSON objects out."""
