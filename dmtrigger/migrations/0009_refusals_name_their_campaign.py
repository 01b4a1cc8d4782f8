import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """None was ever stored without its campaign."""

    dependencies = [
        ("dmtrigger", "0008_messages_by_post_and_recipient"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="refusal",
            name="refusal_once",
        ),
        migrations.AlterField(
            model_name="refusal",
            name="campaign",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, to="dmtrigger.campaign"
            ),
        ),
        migrations.AddConstraint(
            model_name="refusal",
            constraint=models.UniqueConstraint(
                fields=("comment_id", "campaign", "rule"), name="refusal_once"
            ),
        ),
    ]
