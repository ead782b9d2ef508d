"""Tables of webhooks, as Piccolo knows them."""

from piccolo.columns import UUID, Array, BigInt, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class Webhook(Table, tablename="webhook"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    url = Text()
    description = Text()
    events = Array(base_column=Text())
    wants_documents = Boolean()
    enabled = Boolean()
    disabled_reason = Text(null=True)
    secret = Bytea(secret=True)
    old_secret = Bytea(null=True, secret=True)
    old_secret_until = Timestamptz(null=True)
    cursor = BigInt()
    failures = Integer()
    failing_since = Timestamptz(null=True)
    paused_until = Timestamptz(null=True)
    lease = UUID(null=True)
    leased_until = Timestamptz(null=True)
    wake_at = Timestamptz(null=True)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class WebhookDelivery(Table, tablename="webhook_delivery"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    webhook_uuid = UUID()
    message_id = Text()
    version = BigInt(null=True)
    type = Text()
    body = Text()
    status = Text()
    attempts = Integer()
    next_attempt_at = Timestamptz(null=True)
    retry_until = Timestamptz()
    last_attempt_at = Timestamptz(null=True)
    response_code = Integer(null=True)
    duration = Integer(null=True)
    error = Text(null=True)
    response_text = Text(null=True)
    created_at = Timestamptz()
