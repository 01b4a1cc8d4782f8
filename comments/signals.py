"""What the comments app tells the apps above it, without importing them."""

from django.dispatch import Signal

# Sent after the commit, once per ingest that stored anything; `count` new comments wait to be
# analysed. Nothing depends on a receiver: the analysis sweep finds them too.
comments_stored = Signal()

# Sent in the transaction that drops the partitions of old comments, before it does; all that
# belongs to comments with an id below `before_id` and is in no partition goes with them.
comments_retired = Signal()
