"""How the API reads a body."""

from typing import IO, Any

from django.conf import settings
from rest_framework import parsers, status
from rest_framework.exceptions import APIException, ParseError


class BodyTooLarge(APIException):
    """The body is larger than `MAX_BODY_BYTES`."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class JSONParser(parsers.JSONParser):
    """DRF's, which alone knows no limit of size and answers 500 to JSON that is nested too deep."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Any = None,
    ) -> Any:
        # A body without a length is empty for WSGI, so the header bounds what is read.
        length = int(parser_context["request"].META.get("CONTENT_LENGTH") or 0)
        if length > settings.MAX_BODY_BYTES:
            raise BodyTooLarge(f"the body is larger than {settings.MAX_BODY_BYTES} bytes")
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deep") from error
