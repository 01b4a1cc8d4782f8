"""Secrets of signed requests, in the form of Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


class BadSecret(Exception):
    """Nothing can be signed with this secret."""


def new_secret() -> str:
    """A fresh signing secret: `whsec_` and base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def signed_headers(secret: str, event_id: str, body: str) -> dict[str, str]:
    """The headers that sign a request with this body, now. Raises BadSecret."""
    now = datetime.now(UTC)
    try:
        signature = Webhook(secret).sign(event_id, now, body)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise BadSecret(f"the endpoint's secret is not of the form whsec_…: {error}") from error
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
