"""What the list of people can do for a person's rights: show what is stored, and erase it."""

import json
from typing import Any

from django.contrib import admin, messages
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from dmtrigger.models import Person
from dmtrigger.privacy import erase_person, export_person


class PrivacyActions(admin.ModelAdmin[Any]):
    """Actions of a list of people."""

    actions: tuple[str, ...] = ("export_selected", "erase_selected")

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("dmtrigger.erase_person")

    @admin.action(description="Download all that is stored", permissions=["erase"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Person]) -> HttpResponse:
        user = request.user.get_username()
        documents = [export_person(person.source, person.name, user) for person in queryset]
        return HttpResponse(
            json.dumps(documents, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False),
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="people.json"'},
        )

    @admin.action(description="Erase all that is stored…", permissions=["erase"])
    def erase_selected(
        self, request: HttpRequest, queryset: QuerySet[Person]
    ) -> HttpResponse | None:
        """Asks first; the page that asks posts to the same action."""
        people = list(queryset)
        if "confirmed" not in request.POST:
            context = self.admin_site.each_context(request) | {
                "title": "Erase people",
                "opts": self.opts,
                "people": people,
            }
            return TemplateResponse(request, "admin/dmtrigger/person/erase.html", context)
        user = request.user.get_username()
        for person in people:
            erased = erase_person(person.source, person.name, user)
            messages.success(request, f"Erased; confirmation code: {erased.code}")
        return None
