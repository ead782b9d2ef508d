"""The tables as Piccolo sees them: columns and their types, nothing else.

Keys and constraints that Piccolo cannot say stand in the migrations; a test compares both with the database.
"""

from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    BigInt,
    BigSerial,
    Boolean,
    Bytea,
    DoublePrecision,
    Integer,
    Numeric,
    Serial,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.table import Table


class Account(Table, tablename="account"):
    uuid = UUID(primary_key=True)
    email = Text(unique=True, null=True)
    password_hash = Text(secret=True, null=True)
    created_at = Timestamptz()


class ExternalIdentity(Table, tablename="external_identity"):
    issuer = Text(primary_key=True)
    subject = Text()
    account_uuid = UUID()
    created_at = Timestamptz()


class SigningKey(Table, tablename="signing_key"):
    kid = Text(primary_key=True)
    created_at = Timestamptz()
    sealed_private = Bytea(secret=True)
    signs_from = Timestamptz()
    retires_at = Timestamptz(null=True)


class LoginSession(Table, tablename="login_session"):
    uuid = UUID(primary_key=True)
    account_uuid = UUID()
    number = Integer()
    secret_hash = Bytea(secret=True)
    created_at = Timestamptz()
    refreshed_at = Timestamptz()
    expires_at = Timestamptz()
    revoked_at = Timestamptz(null=True)


class RevokedToken(Table, tablename="revoked_token"):
    uuid = UUID(primary_key=True)
    revoked_at = Timestamptz()
    expires_at = Timestamptz()


class LoginAttempt(Table, tablename="login_attempt"):
    id = BigSerial(primary_key=True)
    email_hash = Bytea()
    address_hash = Bytea()
    started_at = Timestamptz()
    failed = Boolean()


class FamiliarAddress(Table, tablename="familiar_address"):
    email_hash = Bytea(primary_key=True)
    address_hash = Bytea()
    seen_at = Timestamptz()


class Project(Table, tablename="project"):
    project_id = Serial(primary_key=True)
    name = Text()
    plan = Text()
    production_uuid = UUID()
    created_at = Timestamptz()
    release_uuid = UUID(null=True)


class Freeze(Table, tablename="production_freeze"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    reason = Text()
    owner = Text()
    starts_at = Timestamptz()
    ends_at = Timestamptz(null=True)
    created_by = Text()
    created_at = Timestamptz()
    lifted_by = Text(null=True)
    lifted_at = Timestamptz(null=True)


class RolloutHealth(Table, tablename="rollout_health"):
    project_id = Integer()
    promotion_uuid = UUID(primary_key=True)
    step = SmallInt()
    side = Text()
    requests = BigInt()
    errors = BigInt()
    timed = BigInt()
    latency_sum = Numeric()
    reported_at = Timestamptz()


class ProjectCounter(Table, tablename="project_counter"):
    project_id = Integer(primary_key=True)
    version = BigInt()
    protection = BigInt()
    shadowed = Boolean()
    shadow_from = BigInt(null=True)


class ShadowCursor(Table, tablename="shadow_cursor"):
    project_id = Integer(primary_key=True)
    env_uuid = UUID()
    version = BigInt()


class Member(Table, tablename="member"):
    project_id = Integer(primary_key=True)
    account_uuid = UUID()
    role = Text()
    created_at = Timestamptz()
    environments = Array(base_column=UUID(), null=True)
    active_env_uuid = UUID(null=True)


class Invitation(Table, tablename="invitation"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    email = Text()
    role = Text()
    environments = Array(base_column=UUID(), null=True)
    token_hash = Bytea(secret=True)
    invited_by = UUID()
    created_at = Timestamptz()
    expires_at = Timestamptz()
    accepted_at = Timestamptz(null=True)
    accepted_by = UUID(null=True)
    revoked_at = Timestamptz(null=True)


class ProjectSettings(Table, tablename="project_settings"):
    project_id = Integer(primary_key=True)
    settings = JSONB()


class ApiKey(Table, tablename="api_key"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    name = Text()
    prefix = Text(unique=True)
    secret_hash = Bytea(secret=True)
    scopes = Array(base_column=Text())
    created_by = UUID()
    created_at = Timestamptz()
    expires_at = Timestamptz(null=True)
    revoked_at = Timestamptz(null=True)
    last_used_at = Timestamptz(null=True)


class Environment(Table, tablename="environment"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    name = Text()
    env_type = Text()
    status = Text()
    head_uuid = UUID()
    pinned_uuid = UUID(null=True)
    parent_env_uuid = UUID(null=True)
    traffic_weight = SmallInt()
    rollout_steps = JSONB()
    segments = JSONB()
    ab_seed = Text()
    shadow_writes = Boolean()
    shadow_overwrite = Boolean()
    expires_at = Timestamptz(null=True)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class Generation(Table, tablename="generation"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    number = Integer()
    kind = Text()
    env_uuid = UUID()
    parent_uuid = UUID(null=True)
    ancestors = Array(base_column=UUID())
    path = Array(base_column=UUID())
    filter_uuid = UUID(null=True)
    sealed = Boolean()
    label = Text(null=True)
    entity_count = BigInt()
    user_count = BigInt()
    version = BigInt()
    created_at = Timestamptz()
    created_by = Text()
    replaces_version = BigInt(null=True)
    automatic = Boolean()


class Entity(Table, tablename="entity"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    kind = Text()
    key = Text()
    version = BigInt()


class Layer(Table, tablename="layer"):
    project_id = Integer()
    entity_uuid = UUID()
    generation_uuid = UUID()
    uuid = UUID(primary_key=True)
    parent_uuid = UUID(null=True)
    form = Text()
    data = JSONB(null=True)
    version = BigInt()
    base = JSONB(null=True)


class Change(Table, tablename="change"):
    project_id = Integer()
    version = BigInt(primary_key=True)
    env_uuid = UUID()
    generation_uuid = UUID()
    entity_uuid = UUID()
    entity_version = BigInt()
    forward = JSONB()
    reverse = JSONB()
    layer_reverse = JSONB(null=True)
    origin = Text()
    actor = Text()
    created_at = Timestamptz()


class Manifest(Table, tablename="manifest"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    env_uuid = UUID()
    generation_uuid = UUID()
    source_generation_uuid = UUID()
    forked_count = BigInt()
    user_filter = JSONB(null=True)
    actor = Text()
    beyond_limit = Boolean()
    created_at = Timestamptz()


class Event(Table, tablename="event"):
    project_id = Integer()
    version = BigInt(primary_key=True)
    type = Text()
    env_uuid = UUID(null=True)
    subject = UUID(null=True)
    data = JSONB()
    actor = Text(null=True)
    first_version = BigInt(null=True)
    created_at = Timestamptz()


class FormerLine(Table, tablename="former_line"):
    project_id = Integer()
    generation_uuid = UUID(primary_key=True)
    until_version = BigInt()
    ancestors = Array(base_column=UUID())
    path = Array(base_column=UUID())


class Promotion(Table, tablename="promotion"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    env_uuid = UUID()
    strategy = Text()
    status = Text()
    plan = JSONB()
    checks = JSONB()
    conflicts = JSONB()
    carried = JSONB()
    content_hash = Text()
    required_approvals = Integer()
    message = Text(null=True)
    reason = Text(null=True)
    account_uuid = UUID()
    actor = Text()
    release_uuid = UUID(null=True)
    step = SmallInt(null=True)
    step_started_at = Timestamptz(null=True)
    previous_weight = SmallInt()
    held = Text(null=True)
    created_at = Timestamptz()
    approved_at = Timestamptz(null=True)
    ended_at = Timestamptz(null=True)
    expires_at = Timestamptz(null=True)


class Approval(Table, tablename="approval"):
    project_id = Integer()
    promotion_uuid = UUID(primary_key=True)
    account_uuid = UUID()
    step = SmallInt()
    content_hash = Text()
    actor = Text()
    created_at = Timestamptz()
    voided_at = Timestamptz(null=True)


class Release(Table, tablename="release"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    number = Integer()
    env_uuid = UUID()
    promotion_uuid = UUID(null=True)
    undoes_uuid = UUID(null=True)
    message = Text(null=True)
    entity_count = Integer()
    version = BigInt()
    actor = Text()
    created_at = Timestamptz()


class ReleaseEntity(Table, tablename="release_entity"):
    project_id = Integer()
    release_uuid = UUID(primary_key=True)
    entity_uuid = UUID()
    before = JSONB(null=True)
    after = JSONB(null=True)


class AuditHead(Table, tablename="audit_head"):
    project_id = Integer(primary_key=True)
    number = BigInt()
    at = Timestamptz()
    hash = Bytea()


class Audit(Table, tablename="audit"):
    project_id = Integer()
    number = BigInt(primary_key=True)
    created_at = Timestamptz()
    operation = Text()
    refusal = Text(null=True)
    account_uuid = UUID(null=True)
    key_uuid = UUID(null=True)
    actor = Text(null=True)
    door = Text()
    address = Text(null=True)
    request_id = Text(null=True)
    object_type = Text(null=True)
    object_id = Text(null=True)
    object_name = Text(null=True)
    env_uuid = UUID(null=True)
    first_version = BigInt(null=True)
    last_version = BigInt(null=True)
    before = JSONB(null=True)
    after = JSONB(null=True)
    hash = Bytea()


class Idempotency(Table, tablename="idempotency"):
    principal_uuid = UUID()
    operation = Text()
    key_hash = Bytea(primary_key=True)
    fingerprint = Bytea(secret=True)
    project_id = Integer(null=True)
    answer = Text(null=True, secret=True)
    created_at = Timestamptz()
    expires_at = Timestamptz()


class Protection(Table, tablename="protection"):
    project_id = Integer()
    generation_uuid = UUID(primary_key=True)
    globs = Array(base_column=Text())
    version = BigInt()


class DataKey(Table, tablename="data_key"):
    project_id = Integer()
    number = Integer(primary_key=True)
    wrapped = Bytea(secret=True)
    created_at = Timestamptz()


class Secret(Table, tablename="secret"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    entity_uuid = UUID()
    env_uuid = UUID()
    path = Text()
    key_number = Integer()
    sealed = Bytea(secret=True)
    digest = Bytea(secret=True)
    created_at = Timestamptz()


class ProtectedMiss(Table, tablename="protected_miss"):
    project_id = Integer()
    id = BigInt(primary_key=True)
    field_hash = Bytea()
    principal_uuid = UUID()
    missed_at = Timestamptz()


class ProtectionSweep(Table, tablename="protection_sweep"):
    project_id = Integer(primary_key=True)
    list_version = BigInt()
    stage = Text()
    floor = BigInt()
    started = BigInt()
    depth = Integer(null=True)
    generation_uuid = UUID(null=True)
    entity_uuid = UUID(null=True)
    change_version = BigInt()


class RateBucket(Table, tablename="rate_bucket"):
    subject = Text(primary_key=True)
    tokens = DoublePrecision()
    granted = DoublePrecision()
    per_second = DoublePrecision()
    filled_at = Timestamptz()
