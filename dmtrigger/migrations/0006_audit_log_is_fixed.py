"""What 0005 has filled is required from here on; the audit log only grows."""

import django.db.models.deletion
from django.db import migrations, models

FIX = """
    CREATE FUNCTION dmtrigger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log cannot be changed';
    END $$;
    CREATE TRIGGER audit_log_is_fixed BEFORE UPDATE OR DELETE ON dmtrigger_auditentry
        FOR EACH ROW EXECUTE FUNCTION dmtrigger_refuse_change();
"""
LOOSEN = """
    DROP TRIGGER audit_log_is_fixed ON dmtrigger_auditentry;
    DROP FUNCTION dmtrigger_refuse_change;
"""


class Migration(migrations.Migration):
    dependencies = [("dmtrigger", "0005_fill_accounts_and_variants")]

    operations = [
        migrations.AlterField(
            model_name='directmessage',
            name='expires_at',
            field=models.DateTimeField(help_text="when the platform's window closes"),
        ),
        migrations.AlterField(
            model_name='directmessage',
            name='source',
            field=models.CharField(help_text="the comment's platform", max_length=50),
        ),
        migrations.AlterField(
            model_name='deliveryattempt',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='dmtrigger.account'),
        ),
        migrations.AlterField(
            model_name='directmessage',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='dmtrigger.account'),
        ),
        migrations.RemoveField(
            model_name='campaign',
            name='template',
        ),
        migrations.RunSQL(FIX, LOOSEN),
    ]
