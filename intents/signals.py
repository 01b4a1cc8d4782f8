"""What the intents app tells the app above it, inside the transaction that made it true.

A receiver's exception rolls the transaction back, so what follows from a decision is stored with
the decision or not at all.
"""

from django.dispatch import Signal

reviews_flagged = Signal()  # reviews: list[Review], pending, new
# review: Review, and what `decide` was `told`; a receiver raises CannotApprove to refuse
review_approved = Signal()
review_decided = Signal()  # review: Review, approved or rejected, after what follows from that
model_promoted = Signal()  # version: ModelVersion, user: who made it the champion

# Sent after the roll-back: review_id, problem: CannotApprove. Nothing was decided.
approval_refused = Signal()

# Sent in the transaction that deletes old reviews, before it does: those of all comments with an
# id below `before_id`.
reviews_retired = Signal()
