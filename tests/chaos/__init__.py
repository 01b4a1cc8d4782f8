"""Everything that can break is broken while messages are sent: `make chaos-dm`.

Nothing here is a test; tests/integration/test_chaos.py runs it small. docs/benchmarks.md says what
it does and how to read it.
"""
