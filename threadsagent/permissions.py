"""Who may call what: every API action names the permission that it needs, or is closed."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission

if TYPE_CHECKING:  # DRF imports this module while it defines APIView
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasActionPermission(BasePermission):
    """Allow an action if the caller holds the Django permission the viewset names for it.

    A viewset says `required_permissions = {action: "app.codename"}`; an action that is not there
    is refused to everybody, so a forgotten entry fails closed.
    """

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        action = getattr(view, "action", None)
        if action is None and request.user.is_authenticated:
            raise MethodNotAllowed(str(request.method))  # and not "you may not": nobody may
        required = getattr(view, "required_permissions", {}).get(action)
        return bool(required and request.user and request.user.has_perm(required))
