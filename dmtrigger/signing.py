"""Secrets of signed requests, in the form of Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import secrets

SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


def new_secret() -> str:
    """A fresh signing secret: `whsec_` and base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
