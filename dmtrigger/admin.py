"""The operators' console; a module for each subject registers its pages."""

from dmtrigger import (
    accounts_admin,
    attribution_admin,
    campaigns_admin,
    messages_admin,
    people_admin,
    refusals_admin,
    reviews_admin,
    webhook_admin,
)

__all__ = [
    "accounts_admin",
    "attribution_admin",
    "campaigns_admin",
    "messages_admin",
    "people_admin",
    "refusals_admin",
    "reviews_admin",
    "webhook_admin",
]
