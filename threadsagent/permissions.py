"""Who may call what: every API action names the permission that it needs, or is closed."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission

from threadsagent import scopes, tokens

if TYPE_CHECKING:  # DRF imports this module while it defines APIView
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasActionPermission(BasePermission):
    """Allow an action if the caller holds the Django permission the viewset names for it.

    A viewset says `required_permissions = {action: "app.codename"}`; an action that is not there
    is refused to everybody, so a forgotten entry fails closed. A token with scopes holds what its
    user holds and one of the scopes has.
    """

    message: str | None = None  # what DRF says when it is refused; None: its own words

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        action = getattr(view, "action", None)
        if action is None and request.user.is_authenticated:
            raise MethodNotAllowed(str(request.method))  # and not "you may not": nobody may
        required = getattr(view, "required_permissions", {}).get(action)
        if not (required and request.user and request.user.has_perm(required)):
            return False
        if request.auth is None or scopes.allow(tokens.scopes_of(request.auth), required):
            return True
        needed = " or ".join(scopes.scopes_with(required))
        self.message = f"This token does not have the scope that this needs: {needed}."
        return False
