"""Campaigns in the operators' console."""

from django.contrib import admin

from dmtrigger.models import Campaign


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin[Campaign]):
    list_display = ("name", "is_active", "post_id", "link", "auto_threshold")
    list_filter = ("is_active",)
