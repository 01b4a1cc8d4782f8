"""Errors of the API in one form: problem details, RFC 9457."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.encoding import escape_uri_path
from django.views import defaults
from rest_framework.settings import api_settings

from threadsagent import throttling

MEDIA_TYPE = "application/problem+json"
WHOLE = {"detail", api_settings.NON_FIELD_ERRORS_KEY}
"""What DRF calls that which is about the whole call and not about a field."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why a call was refused, or failed: problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "`about:blank`: the status says which kind of problem it is",
        },
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, for people"},
        "instance": {
            "type": "string",
            "format": "uri-reference",
            "description": "the path that was called",
        },
        "errors": {
            "type": "array",
            "description": "which fields or parameters are wrong; there if any are",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {
                    "field": {"type": "string", "description": "within another: `outer.inner`"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's answer with its headers, as a problem.

    Always JSON: the renderer that the call has chosen may be one for something else (the schema's).
    """
    answer = throttling.exception_handler(error, context)
    if answer is None:
        return None
    problem = _problem(context["request"].path, answer.status_code, list(_said(answer.data)))
    for name, value in answer.headers.items():
        problem.headers.setdefault(name, value)
    return problem


def refuse(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """A problem from outside of DRF."""
    return _problem(request.path, status, [("", detail)])


def _problem(path: str, status: int, said: list[tuple[str, str]]) -> HttpResponse:
    """`said`: the reasons, each with the field that it is about, or with nothing for the whole."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": "; ".join(f"{field}: {reason}" if field else reason for field, reason in said),
        "instance": escape_uri_path(path),
    }
    if errors := [{"field": field, "reason": reason} for field, reason in said if field]:
        body["errors"] = errors
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def _said(data: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """What DRF says, flat: (field, reason)."""
    if isinstance(data, dict):
        for name, inner in data.items():
            yield from _said(inner, field if name in WHOLE else f"{field}.{name}".lstrip("."))
    elif isinstance(data, list):
        for place, inner in enumerate(data):
            # a list of reasons for one field, or of what is wrong with each item of a list
            yield from _said(inner, field if isinstance(inner, str) else f"{field}.{place}")
    else:
        yield field, str(data)


# --- what no view of the API answers ----------------------------------------------------------
# Who asks for a page, as browsers do, gets Django's own; everybody else a problem.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself refuses, for example for an unknown host."""
    if _wants_page(request):
        return defaults.bad_request(request, exception)
    return refuse(request, 400, "The request is not one that is served here.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such path."""
    if _wants_page(request):
        return defaults.page_not_found(request, exception)
    return refuse(request, 404, "There is nothing at this path.")


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours; the log says which."""
    if _wants_page(request):
        return defaults.server_error(request)
    return refuse(request, 500, "Something failed here; nothing is wrong with the call.")


def _wants_page(request: HttpRequest) -> bool:
    return request.get_preferred_type([MEDIA_TYPE, "text/html"]) == "text/html"


# --- the schema -------------------------------------------------------------------------------


def declare(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say in the OpenAPI schema that every error of every call has this form (a hook)."""
    components = result["components"]
    components["schemas"]["Problem"] = SCHEMA
    body = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {"Problem": {"description": "An error.", "content": body}}
    for path in result["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            for status, response in responses.items():
                if status >= "400":
                    response.setdefault("content", {}).update(body)
            responses["default"] = {"$ref": "#/components/responses/Problem"}
    return result
