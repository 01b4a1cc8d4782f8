from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Django's user as it is; a model of our own because it cannot be swapped in later."""
