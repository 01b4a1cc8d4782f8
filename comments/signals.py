"""What the comments app tells the apps above it, without importing them."""

from django.dispatch import Signal

# Sent after the commit, once per ingest that stored anything; `count` new comments wait to be
# analysed. Nothing depends on a receiver: the analysis sweep finds them too.
comments_stored = Signal()
