"""What the system tells Prometheus: `view` and `server` answer, the others say what.

Each app counts in its own `metrics.py`, and reads its rows in its `gauges.py`.
"""
