"""Every path of the web process."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from comments.views import CommentViewSet, MonitorViewSet
from dmtrigger import incoming_views
from dmtrigger.attribution_views import ConversionViewSet, FunnelViewSet
from dmtrigger.campaign_views import CampaignViewSet
from dmtrigger.opt_out import opt_out
from dmtrigger.privacy_views import PersonDataViewSet, data_deletion, data_deletion_status
from dmtrigger.views import (
    AccountViewSet,
    DirectMessageViewSet,
    OptOutViewSet,
    RefusalViewSet,
)
from intents.model_views import ModelVersionViewSet
from intents.views import IntentResultViewSet, ReviewViewSet
from threadsagent import health
from threadsagent.metrics.view import metrics

router = SimpleRouter(trailing_slash=False)
router.register("comments/monitor", MonitorViewSet)
router.register("comments", CommentViewSet)
router.register("intents", IntentResultViewSet)
router.register("reviews", ReviewViewSet)
router.register("models", ModelVersionViewSet)
router.register("campaigns", CampaignViewSet)
router.register("messages", DirectMessageViewSet)
router.register("accounts", AccountViewSet)
router.register("opt-outs", OptOutViewSet, basename="opt-out")
router.register("refusals", RefusalViewSet)
router.register("conversions", ConversionViewSet)
router.register("funnel", FunnelViewSet, basename="funnel")

person_data = PersonDataViewSet.as_view({"get": "retrieve", "delete": "destroy"})
api = [path("people/<str:source>/<path:name>/data", person_data), *router.urls]

V1 = "api/v1/"


def only_v1(endpoints: list[tuple[str, Any, Any, Any]]) -> list[tuple[str, Any, Any, Any]]:
    """What the OpenAPI schema shows: each call once, by its path with the version (a hook)."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(f"/{V1}")]


handler400 = "threadsagent.problems.bad_request"
handler404 = "threadsagent.problems.not_found"
handler500 = "threadsagent.problems.server_error"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("webhooks/data-deletion", data_deletion),
    path("webhooks/data-deletion/<str:code>", data_deletion_status),
    path(V1, include(api)),
    path("", include(api)),  # the spec's own paths
    path("o/<str:token>", opt_out, name="opt-out"),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", login_required(SpectacularSwaggerSplitView.as_view(url_name="schema"))),
    path("webhooks/fake_platform", incoming_views.fake_platform),
    path("health", health.health, name="health"),
    path("health/live", health.live, name="live"),
    path("metrics", metrics, name="metrics"),
]
