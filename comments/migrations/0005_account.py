"""The brand's account whose post a comment stands under.

At once, however many comments there are: the default is constant.
"""

from django.db import migrations, models

HELP = "the brand's account whose post it is; empty: the source's only one"


class Migration(migrations.Migration):
    dependencies = [("comments", "0004_author_facts")]

    operations = [
        migrations.AddField(
            "comment",
            "account",
            models.CharField(blank=True, db_default="", help_text=HELP, max_length=100),
        ),
        migrations.AddField(
            "monitor",
            "account",
            models.CharField(blank=True, default="", help_text=HELP, max_length=100),
        ),
    ]
