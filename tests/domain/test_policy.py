"""The policy's table, held against what the specification says of roles, keys and limits (semantics §8)."""

from uuid import uuid4

import pytest

from app.domain import policy
from app.domain.errors import EnvironmentRestricted, Forbidden, ProjectNotFound, TokenKindForbidden
from app.domain.members import Membership
from app.domain.model import Actor, Role, Scope
from app.domain.policy import POLICY, Operation

NESTED = (Role.OWNER, Role.ADMIN, Role.EDITOR, Role.VIEWER)
OF_PROJECTS = [operation for operation in Operation if POLICY[operation].roles is not None]
BY_VIEWERS = {
    Operation.READ,
    Operation.READ_ROLE,
    Operation.EVALUATE,
    Operation.READ_MEMBERS,
    Operation.CHOOSE_ENVIRONMENT,
    Operation.LEAVE,
}
USERS_ONLY = {
    Operation.FORK,
    Operation.ARCHIVE,
    Operation.MANAGE_MEMBERS,
    Operation.MANAGE_KEYS,
    Operation.LEAVE,
    Operation.CHOOSE_ENVIRONMENT,
    Operation.CREATE_PROJECT,
    Operation.ACCEPT_INVITATION,
    Operation.LOG_OUT,
    Operation.SHORTEN_PROTECTED,
    Operation.DECRYPT,
}


def _user() -> Actor:
    return Actor(uuid4(), "user")


def _key(*scopes: Scope) -> Actor:
    return Actor(uuid4(), "key", uuid4(), 1, frozenset(scopes))


def _may(actor: Actor, membership: Membership | None, operation: Operation) -> bool:
    try:
        policy.check(actor, membership, operation, uuid4())
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("operation", OF_PROJECTS)
def test_a_higher_role_may_whatever_a_lower_one_may(operation: Operation) -> None:
    allowed = [_may(_user(), Membership(role), operation) for role in NESTED]
    assert allowed == sorted(allowed, reverse=True)
    assert allowed[0]
    assert allowed[-1] == (operation in BY_VIEWERS)


@pytest.mark.parametrize("operation", OF_PROJECTS)
def test_whoever_is_limited_is_so_in_all_that_viewers_may_not(operation: Operation) -> None:
    here, limits = uuid4(), frozenset({uuid4()})
    limited = Membership(Role.EDITOR, limits | {here})
    if not _may(_user(), Membership(Role.EDITOR), operation):
        return
    policy.check(_user(), limited, operation, here)
    if operation in BY_VIEWERS:
        policy.check(_user(), limited, operation, uuid4())
    else:
        with pytest.raises(EnvironmentRestricted):
            policy.check(_user(), limited, operation, uuid4())


@pytest.mark.parametrize("operation", Operation)
def test_what_takes_a_user_no_key_may(operation: Operation) -> None:
    everything = _key(*Scope)
    if operation in USERS_ONLY:
        with pytest.raises(TokenKindForbidden):
            policy.check(everything, None, operation)
        return
    policy.check(everything, None, operation)
    needed = POLICY[operation].scope
    without = _key(*(set(Scope) - {needed}))
    if POLICY[operation].any_key:
        policy.check(_key(), None, operation)
    else:
        with pytest.raises(Forbidden):
            policy.check(without, None, operation)


@pytest.mark.parametrize("operation", OF_PROJECTS)
def test_who_is_no_member_finds_no_project(operation: Operation) -> None:
    with pytest.raises(ProjectNotFound):
        policy.check(_user(), None, operation)


@pytest.mark.parametrize("operation", sorted(set(Operation) - set(OF_PROJECTS)))
def test_what_is_about_no_project_every_user_may(operation: Operation) -> None:
    policy.check(_user(), None, operation)
