"""The API's tokens and their scopes in the OpenAPI document."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object

from threadsagent.scopes import Scope, scopes_with


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Says of each call which scopes let a token make it: one of them does."""

    target_class = "threadsagent.tokens.TokenAuthentication"
    name = "knoxApiToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """The header, and what each scope is."""
        scopes = "; ".join(f"`{scope}`: {scope.label}" for scope in Scope)
        header = build_bearer_security_scheme_object("Authorization", "Token")
        return header | {
            "description": "Authorization: Token, a space, and the key. A token may do what its "
            f"user may, and if it has scopes only what these allow. {scopes}."
        }

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Each scope that has the call's permission is enough."""
        view: Any = auto_schema.view
        required = getattr(view, "required_permissions", {}).get(view.action, "")
        return [{self.name: [scope]} for scope in scopes_with(required)]
