"""Measurements: nothing here is a test, and pytest collects nothing of it.

`make bench-ingest` says how fast comments come in; docs/benchmarks.md says what it measures.
"""
