"""Comments become a table partitioned by day, and a ledger keeps every id that came in.

What was stored before is not copied: the old table becomes the first partition, and its ids go
into the ledger. The constants are those of `comments.partitions`.
"""

import django.core.validators
import django.db.models.functions.datetime
from django.db import migrations, models

import comments.models

PARTITION = """
    CREATE SEQUENCE comments_comment_number MINVALUE 0 MAXVALUE 999999 CYCLE;

    CREATE FUNCTION comments_first_id(day date) RETURNS bigint LANGUAGE sql IMMUTABLE AS
        $$ SELECT (day - DATE '2020-01-01') * 86400000000 $$;

    -- The clock, not now(): in a long transaction the numbers may go round, but not in a second.
    CREATE FUNCTION comments_new_id() RETURNS bigint LANGUAGE sql VOLATILE AS
        $$ SELECT (floor(extract(epoch FROM clock_timestamp()))::bigint - 1577836800) * 1000000
                  + nextval('comments_comment_number') $$;

    ALTER TABLE comments_comment RENAME TO comments_comment_before;
    ALTER INDEX comments_comment_pkey RENAME TO comments_comment_before_pkey;
    ALTER TABLE comments_comment_before ALTER COLUMN id DROP IDENTITY;
    CREATE TABLE comments_comment
        (LIKE comments_comment_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
        PARTITION BY RANGE (id);
    ALTER TABLE comments_comment ALTER COLUMN id SET DEFAULT comments_new_id();
    ALTER TABLE comments_comment ADD PRIMARY KEY (id);
    DO $$ BEGIN
        IF EXISTS (SELECT FROM comments_comment_before) THEN
            EXECUTE format(
                'ALTER TABLE comments_comment ATTACH PARTITION comments_comment_before
                 FOR VALUES FROM (MINVALUE) TO (%s)',
                comments_first_id((now() AT TIME ZONE 'UTC')::date)
            );
        ELSE
            DROP TABLE comments_comment_before CASCADE;
        END IF;
    END $$;
"""

FILL_LEDGER = """
    ALTER TABLE comments_seencomment ALTER COLUMN comment_id SET DEFAULT comments_new_id();
    INSERT INTO comments_seencomment (external_id, source, comment_id)
    SELECT external_id, source, id FROM comments_comment;
"""


class Migration(migrations.Migration):
    dependencies = [("comments", "0001_initial")]

    operations = [
        migrations.RemoveConstraint("comment", "comment_once_per_source"),
        migrations.RemoveIndex("comment", "comment_unanalyzed"),
        migrations.RemoveIndex("comment", "comment_by_post"),
        migrations.RemoveIndex("comment", "comment_by_author"),
        migrations.AlterField(
            "comment",
            "external_id",
            models.CharField(
                db_collation="C", help_text="the platform's own id", max_length=100
            ),
        ),
        migrations.AlterField(
            "comment", "post_id", models.CharField(db_collation="C", max_length=100)
        ),
        migrations.AlterField(
            "comment", "author", models.CharField(db_collation="C", max_length=100)
        ),
        migrations.RunSQL(PARTITION),
        migrations.AddIndex(
            "comment",
            models.Index(
                condition=models.Q(("analyzed_at", None)), fields=["id"], name="comment_unanalyzed"
            ),
        ),
        migrations.AddIndex(
            "comment", models.Index(fields=["post_id", "id"], name="comment_by_post")
        ),
        migrations.AddIndex(
            "comment", models.Index(fields=["author", "id"], name="comment_by_author")
        ),
        migrations.CreateModel(
            name="SeenComment",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "external_id",
                        "source",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("external_id", models.CharField(db_collation="C", max_length=100)),
                ("source", models.CharField(db_collation="C", max_length=50)),
                (
                    "comment_id",
                    models.BigIntegerField(
                        help_text="the comment's id here, also when it is retired"
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FILL_LEDGER),
    ]
