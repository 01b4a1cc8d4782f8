"""What goes over the wire: requests and their fields, answers, and errors in Meta's form."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class MetaError:
    """An error as Meta's Graph API answers it: HTTP status, code and (often) a subcode."""

    status: int
    code: int
    error_subcode: int | None
    message: str

    def body(self) -> JsonObject:
        """The answer's body."""
        error: JsonObject = {"message": self.message, "type": "OAuthException", "code": self.code}
        if self.error_subcode is not None:
            error["error_subcode"] = self.error_subcode
        return {"error": {**error, "fbtrace_id": secrets.token_urlsafe(16)}}


TOKEN_MISSING = MetaError(401, 190, None, "Invalid OAuth access token.")
THROTTLED = MetaError(400, 613, None, "The account has sent as much as it may for this hour.")
REPLY_IMPOSSIBLE = MetaError(
    400, 100, 2534025, "The comment is invalid for a reply, or already has one."
)
WINDOW_CLOSED = MetaError(
    400, 10, 2534022, "This message is sent outside of the allowed window of 7 days."
)
UNKNOWN_PATH = MetaError(404, 2500, None, "Unknown path components.")
WRONG_METHOD = MetaError(405, 100, None, "Unsupported method for this path.")


class PlatformError(Exception):
    """Ends a request with this error as its answer."""

    def __init__(self, error: MetaError) -> None:
        super().__init__(error.message)
        self.error = error


class ConnectionDroppedError(Exception):
    """Ends a request by closing its connection without an answer."""


def invalid(message: str, status: int = 400) -> PlatformError:
    """The error for a request that cannot be understood: code 100."""
    return PlatformError(MetaError(status, 100, None, message))


@dataclass(frozen=True)
class Request:
    """One call, as the routes see it."""

    arguments: tuple[str, ...]  # what the path's groups matched, percent-decoded
    query: dict[str, str]
    authorization: str
    base_url: str  # as the caller knows this server: "http://host:port"
    body: bytes

    def json(self) -> JsonObject:
        """The body as a JSON object. Raises PlatformError when it is something else."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise invalid("The body is not valid JSON.") from error
        return read_object(body, "body")


@dataclass(frozen=True)
class Response:
    """An answer: a JSON value, or a page of HTML when ``body`` is a string."""

    body: JsonObject | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def read_object(value: object, name: str) -> JsonObject:
    """``value`` as an object. Like the readers below it raises PlatformError, naming the field."""
    if not isinstance(value, dict):
        raise invalid(f"({name}) must be an object.")
    return value


def read_string(body: JsonObject, name: str) -> str:
    """A field that must be there and be valid Unicode text, perhaps empty."""
    value = body.get(name)
    if not isinstance(value, str):
        raise invalid(f"({name}) is required and must be a string.")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell
        raise invalid(f"({name}) is not valid Unicode.") from error
    return value


def read_non_empty(body: JsonObject, name: str) -> str:
    """A field that must be there and be text with something in it."""
    value = read_string(body, name)
    if not value:
        raise invalid(f"({name}) must not be empty.")
    return value


def read_integer(body: JsonObject, name: str, least: int, most: int) -> int:
    """A field that must be there and be a whole number within the bounds."""
    value = body.get(name)
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(f"({name}) must be an integer from {least} to {most}.")
    return value


def read_flag(body: JsonObject, name: str) -> bool:
    """A field that is true or false, and false when it is absent."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise invalid(f"({name}) must be true or false.")
    return value


def allow_only(body: JsonObject, *names: str) -> None:
    """Refuses other fields: a fault with a misspelt one would silently test nothing."""
    for name in body:
        if name not in names:
            raise invalid(f"({name}) is not a known field.")
