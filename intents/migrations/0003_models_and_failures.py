"""Why a result is held, what is shown of it; failed analyses; models, and what they say in shadow."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


# Shadow answers come for every comment, so they are partitioned and dropped as the comments are.
PARTITION = """
    DROP TABLE intents_shadowprediction;
    CREATE TABLE intents_shadowprediction (
        comment_id bigint NOT NULL,
        version_id bigint NOT NULL,
        label varchar(20) NOT NULL,
        score smallint NOT NULL CHECK (score >= 0),
        PRIMARY KEY (comment_id, version_id)
    ) PARTITION BY RANGE (comment_id);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('intents', '0002_partitions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='intentresult',
            name='evidence',
            field=models.JSONField(blank=True, help_text='why: the words that counted and the nearest labelled comments, where flagged', null=True),
        ),
        migrations.AddField(
            model_name='intentresult',
            name='hold',
            field=models.CharField(blank=True, choices=[('', 'none'), ('language', 'a language that the model does not speak'), ('model_failed', 'the model failed; a simpler one answered')], db_default='', max_length=20),
        ),
        migrations.AddField(
            model_name='intentresult',
            name='language',
            field=models.CharField(blank=True, db_default='', help_text='ISO 639 code; empty where none is told', max_length=3),
        ),
        migrations.AddField(
            model_name='intentresult',
            name='mentions_brand',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name='intentresult',
            name='sentiment',
            field=models.CharField(choices=[('positive', 'Positive'), ('neutral', 'Neutral'), ('negative', 'Negative')], db_default='neutral', max_length=8),
        ),
        migrations.AddField(
            model_name='review',
            name='corrected_label',
            field=models.CharField(blank=True, choices=[('purchase_intent', 'Purchase Intent'), ('product_question', 'Product Question'), ('praise', 'Praise'), ('complaint', 'Complaint'), ('spam', 'Spam'), ('other', 'Other')], db_default='', help_text='what the comment is, where the operator says that the model was wrong', max_length=20),
        ),
        migrations.CreateModel(
            name='AnalysisFailure',
            fields=[
                ('comment_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('attempts', models.PositiveSmallIntegerField(help_text='how often it was tried')),
                ('reason', models.TextField(max_length=500)),
                ('failed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('retry_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'permissions': [('retry_analysis', 'Can have parked comments analysed again')],
                'indexes': [models.Index(condition=models.Q(('retry_at__isnull', False)), fields=['retry_at'], name='analysis_to_retry')],
            },
        ),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('role', models.CharField(choices=[('champion', 'champion (answers)'), ('challenger', 'challenger (is tried)'), ('retired', 'Retired')], default='retired', max_length=10)),
                ('traffic_percent', models.PositiveSmallIntegerField(default=0, help_text="a challenger's share of the comments that it answers itself; of all others it is asked too, and its answer only stored (shadow)")),
                ('card', models.JSONField(help_text='data, settings, thresholds and metrics of the training')),
                ('content', models.BinaryField(help_text="the model's files; null for the one that is shipped", null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('promoted_at', models.DateTimeField(blank=True, null=True)),
                ('promoted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('promote_model', 'Can promote, roll back and try models')],
            },
        ),
        migrations.CreateModel(
            name='ShadowPrediction',
            fields=[
                ('pk', models.CompositePrimaryKey('comment_id', 'version', blank=True, editable=False, primary_key=True, serialize=False)),
                ('comment_id', models.BigIntegerField()),
                ('label', models.CharField(choices=[('purchase_intent', 'Purchase Intent'), ('product_question', 'Product Question'), ('praise', 'Praise'), ('complaint', 'Complaint'), ('spam', 'Spam'), ('other', 'Other')], max_length=20)),
                ('score', models.PositiveSmallIntegerField(help_text='as in IntentResult')),
                ('version', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, to='intents.modelversion')),
            ],
        ),
        migrations.RunSQL(PARTITION),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('role', 'champion')), fields=('role',), name='one_champion'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('traffic_percent__lte', 100)), name='share_is_percent'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('traffic_percent', 0), ('role', 'challenger'), _connector='OR'), name='only_challengers_share'),
        ),
        migrations.AddIndex(
            model_name='shadowprediction',
            index=models.Index(fields=['version', 'comment_id'], name='shadow_by_version'),
        ),
    ]
