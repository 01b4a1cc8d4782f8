"""What operators say of reviews: on a review's page, in the list, and by the pages' scripts."""

from django import forms
from django.contrib.admin import helpers

from dmtrigger.review_queue import Snooze
from intents.models import Label, Review

BIGGEST_KEY = 2**63 - 1


class SaidForm(forms.Form):
    """What an operator says with a decision."""

    corrected_label = forms.ChoiceField(
        choices=[("", "not said"), *Label.choices],
        required=False,
        label="It is really",
        help_text="For a rejection: the model learns from it.",
    )
    note = forms.CharField(
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
    )


class DecisionForm(SaidForm):
    """The decision on a review's page."""

    decision = forms.ChoiceField(
        choices=[(Review.Status.APPROVED, "Approve"), (Review.Status.REJECTED, "Reject")]
    )
    # of the message that was on the page, empty when there was none
    draft = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    text = forms.CharField(
        max_length=10_000,
        required=False,
        widget=forms.Textarea({"rows": 7, "form": "decide", "dir": "auto", "data-key": "e"}),
    )

    def clean_text(self) -> str:
        """With line ends as messages have them; browsers send others."""
        text: str = self.cleaned_data["text"]
        return text.replace("\r\n", "\n")


class BulkForm(SaidForm, helpers.ActionForm):
    """What can be said of the reviews that are ticked in the list."""

    field_order = ("action", "select_across", "corrected_label", "note")
    note = forms.CharField(required=False)  # what is too long, SaidForm says better


class SnoozeForm(forms.Form):
    """Until when a review is put off; `again`: no more."""

    until = forms.ChoiceField(choices=[*Snooze.choices, ("again", "now")], label="Until")


class NewsForm(forms.Form):
    """The newest review that a page knows."""

    after = forms.IntegerField(min_value=0, max_value=BIGGEST_KEY)


class BlockForm(forms.Form):
    """Why an author is written to no more."""

    reason = forms.CharField(max_length=200, required=False, label="Why")
