"""Measurements: nothing here is a test, and pytest collects nothing of it.

`make bench-ingest` says how fast comments come in, `make bench-intents` how fast they are analysed,
`make bench-dm` how soon messages leave; docs/benchmarks.md says what they measure.
"""
