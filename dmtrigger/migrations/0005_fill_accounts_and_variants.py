"""What messages and campaigns of earlier releases have of accounts, variants and windows."""

from django.db import migrations

FILL = """
    INSERT INTO dmtrigger_account (source, name, usernames, pause_reason)
    SELECT DISTINCT sender, '', '', '' FROM dmtrigger_directmessage;

    UPDATE dmtrigger_directmessage m
    SET source = m.sender, account_id = a.id, expires_at = m.posted_at + interval '7 days'
    FROM dmtrigger_account a
    WHERE a.source = m.sender AND a.name = '';

    UPDATE dmtrigger_deliveryattempt t
    SET account_id = m.account_id
    FROM dmtrigger_directmessage m
    WHERE m.id = t.message_id;

    INSERT INTO dmtrigger_variant (campaign_id, name, template, weight)
    SELECT id, 'A', template, 1 FROM dmtrigger_campaign;

    UPDATE dmtrigger_directmessage m
    SET variant_id = v.id, link = c.link
    FROM dmtrigger_variant v JOIN dmtrigger_campaign c ON c.id = v.campaign_id
    WHERE v.campaign_id = m.campaign_id;
"""
BACK = """
    UPDATE dmtrigger_campaign c
    SET template = v.template
    FROM (SELECT DISTINCT ON (campaign_id) * FROM dmtrigger_variant ORDER BY campaign_id, id) v
    WHERE v.campaign_id = c.id;
"""


class Migration(migrations.Migration):
    dependencies = [("dmtrigger", "0004_campaigns_and_people")]
    operations = [migrations.RunSQL(FILL, BACK)]
