"""What the DM trigger stores, a file for each subject; each table's one writer is named on it."""

from dmtrigger.models.attribution import Click, Conversion
from dmtrigger.models.campaigns import Account, Campaign, Variant
from dmtrigger.models.messages import DeliveryAttempt, DirectMessage, MessageEvent, Refusal
from dmtrigger.models.people import AuditEntry, Person
from dmtrigger.models.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "Account",
    "AuditEntry",
    "Campaign",
    "Click",
    "Conversion",
    "DeliveryAttempt",
    "DirectMessage",
    "MessageEvent",
    "Person",
    "Refusal",
    "Variant",
    "WebhookDelivery",
    "WebhookEndpoint",
]
