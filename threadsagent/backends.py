"""How Django finds the user of a password, and of a session."""

from django.contrib.auth.backends import ModelBackend
from django.db.models import OuterRef, Subquery

from threadsagent.models import Authenticator, User


class Backend(ModelBackend):
    """Django's, except that a session's user comes with their authenticator's key.

    `threadsagent.two_factor` asks for it at every request, and so it costs no query of its own.
    """

    def get_user(self, user_id: int) -> User | None:
        """`second_step`: the key; None where the password does."""
        own = Authenticator.objects.filter(user=OuterRef("pk"), confirmed=True).values("pk")
        users = User.objects.annotate(second_step=Subquery(own))
        user = users.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
