"""Comments are found by their account, newest first, for who sees some accounts only.

Only those of an account with a name: whoever has one account does not name it, and pays nothing.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("comments", "0006_idempotent_calls")]

    operations = [
        migrations.AddIndex(
            "comment",
            models.Index(
                fields=["account", "id"],
                name="comment_by_account",
                condition=models.Q(("account", ""), _negated=True),
            ),
        ),
    ]
