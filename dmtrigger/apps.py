from django.apps import AppConfig


class DmTriggerConfig(AppConfig):
    name = "dmtrigger"
    verbose_name = "DM trigger"

    def ready(self) -> None:
        from dmtrigger.outbox import forget_reviews
        from dmtrigger.triggers import approve_by_rule, enqueue_message
        from intents.signals import review_approved, reviews_flagged, reviews_retired

        reviews_flagged.connect(approve_by_rule, dispatch_uid="dmtrigger.approve_by_rule")
        review_approved.connect(enqueue_message, dispatch_uid="dmtrigger.enqueue_message")
        reviews_retired.connect(forget_reviews, dispatch_uid="dmtrigger.forget_reviews")
