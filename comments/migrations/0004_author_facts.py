"""What a platform tells of a comment's author.

At once, however many comments there are: the default is constant, and the check, which Django
would have read all of them for, is left to the new ones (of the old ones nothing is told).
"""

from django.db import migrations, models

ADD_COLUMNS = """
    ALTER TABLE comments_comment
        ADD COLUMN author_followers integer,
        ADD COLUMN author_verified boolean NOT NULL DEFAULT false,
        ADD CONSTRAINT comments_comment_author_followers_check
            CHECK (author_followers >= 0) NOT VALID;
"""
DROP_COLUMNS = """
    ALTER TABLE comments_comment DROP COLUMN author_followers, DROP COLUMN author_verified;
"""


class Migration(migrations.Migration):
    dependencies = [("comments", "0003_monitors_and_imports")]

    operations = [
        migrations.RunSQL(
            ADD_COLUMNS,
            DROP_COLUMNS,
            state_operations=[
                migrations.AddField(
                    "comment",
                    "author_followers",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="how many follow the author; null: the platform is silent",
                        null=True,
                    ),
                ),
                migrations.AddField(
                    "comment",
                    "author_verified",
                    models.BooleanField(
                        db_default=False, help_text="whether the platform has verified the author"
                    ),
                ),
            ],
        ),
    ]
