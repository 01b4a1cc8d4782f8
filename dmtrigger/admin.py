"""The operators' console; a module for each subject registers its pages."""

from dmtrigger import campaigns_admin, messages_admin, reviews_admin, webhook_admin

__all__ = ["campaigns_admin", "messages_admin", "reviews_admin", "webhook_admin"]
