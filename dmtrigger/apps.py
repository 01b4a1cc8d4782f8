from django.apps import AppConfig


class DmTriggerConfig(AppConfig):
    name = "dmtrigger"
    verbose_name = "DM trigger"

    def ready(self) -> None:
        from dmtrigger.audit import note_decision, note_promotion
        from dmtrigger.outbox import forget_reviews
        from dmtrigger.triggers import approve_by_rule, enqueue_message, keep_refusal
        from intents.signals import (
            approval_refused,
            model_promoted,
            review_approved,
            review_decided,
            reviews_flagged,
            reviews_retired,
        )

        reviews_flagged.connect(approve_by_rule, dispatch_uid="dmtrigger.approve_by_rule")
        review_approved.connect(enqueue_message, dispatch_uid="dmtrigger.enqueue_message")
        approval_refused.connect(keep_refusal, dispatch_uid="dmtrigger.keep_refusal")
        review_decided.connect(note_decision, dispatch_uid="dmtrigger.note_decision")
        model_promoted.connect(note_promotion, dispatch_uid="dmtrigger.note_promotion")
        reviews_retired.connect(forget_reviews, dispatch_uid="dmtrigger.forget_reviews")
