from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dmtrigger', '0007_webhook_leases'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='directmessage',
            index=models.Index(fields=['post_id', 'id'], name='message_by_post'),
        ),
        migrations.AddIndex(
            model_name='directmessage',
            index=models.Index(fields=['recipient', 'id'], name='message_by_recipient'),
        ),
    ]
