"""The guide's examples, by operation id: in the description, and what the tests send."""

from collections.abc import Mapping
from typing import Any, Final

_ANCHOR = "5f0c6f2e-3a54-4c4e-9b0e-0f6a1f6f2b11"
_LAYER = "0e4dd0c6-8d5b-4b6e-8d0a-7f5a2c1b9d42"
_MANIFEST = "c1a2f7b0-1d0f-4b53-a3a5-2f0f3c0d7e15"
_CHECKPOINT = "a9d3b1de-6c31-4a43-8a86-0b2f5a7c3e6f"

BODIES: Final[Mapping[str, Any]] = {
    "register": {"email": "ada@example.com", "password": "correct horse battery staple"},
    "logIn": {"email": "ada@example.com", "password": "correct horse battery staple"},
    "createProject": {"name": "Shop"},
    "createApiKey": {"name": "storefront", "scopes": ["read"]},
    "inviteMember": {"email": "grace@example.com", "role": "editor", "environments": ["feature/payments-v2"]},
    "changeMember": {"role": "admin"},
    "acceptInvitation": {"token": "invitation_42_…"},
    "setActiveEnvironment": {"project_id": 42, "active_env": "feature/payments-v2"},
    "fork": {
        "source_project_id": 42,
        "env_name": "feature/payments-v2",
        "env_type": "sandbox",
        "user_filter": None,
        "segment_id": None,
    },
    "updateEnvironment": {"env_uuid": _ANCHOR, "env_name": "feature/payments-v3"},
    "createCheckpoint": {"env_uuid": _ANCHOR, "label": "before-payment-migration"},
    "rollBack": {"checkpoint_uuid": _CHECKPOINT, "env_name": "retry"},
    "createPin": {"env_uuid": _ANCHOR},
    "revertOverrides": {"env_uuid": _ANCHOR, "paths": ["/config/payment_provider"]},
    "createBackup": {"project_id": 42, "label": "nightly"},
    "createTest": {"env_a_uuid": _ANCHOR, "env_b_uuid": _LAYER, "split_pct": 50, "metric": "conversion_rate"},
    "recordResults": {"user_uuid": "ada", "outcome": "converted"},
    "restoreBackup": {"project_id": 42, "backup_uuid": _CHECKPOINT},
}

ANSWERS: Final[Mapping[str, Any]] = {
    "fork": {
        "anchor_uuid": _ANCHOR,
        "fork_project_uuid": _LAYER,
        "env_name": "feature/payments-v2",
        "env_type": "sandbox",
        "generation": 1,
        "forked_count": 3,
        "manifest_uuid": _MANIFEST,
        "status": "draft",
    },
    "archiveEnvironment": {"anchor_uuid": _ANCHOR, "status": "archived", "removed_diffs": 3},
    "createCheckpoint": {
        "checkpoint_uuid": _CHECKPOINT,
        "env_uuid": _ANCHOR,
        "label": "before-payment-migration",
        "generation": 2,
        "entities": 3,
        "created_at": "2026-03-25T12:00:00Z",
    },
    "createPin": {"pinned_uuid": _CHECKPOINT, "env_uuid": _ANCHOR, "generation": 2},
    "getDiff": {
        "added": {"config.new_feature": True},
        "removed": {},
        "modified": {"config.payment_provider": {"old": "stripe", "new": "tochka"}},
    },
}
