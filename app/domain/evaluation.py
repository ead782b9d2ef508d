"""What a user gets for a flag, and why (semantics §6; OpenFeature, "Types and Data Structures"; OFREP 0.3)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Final

from app.domain.errors import DomainError, InvalidPath, Kind, NotFound
from app.domain.flags import BUCKETS, ONLY_VARIANT, BrokenFlag, Flag, FlagRule, flags_of
from app.domain.pointer import Path, format_pointer, parse_dotted, parse_pointer
from app.domain.protected import Places
from app.domain.routing import MAX_USER
from app.domain.segments import Rule, matches
from app.domain.values import MISSING, State, Value, lookup

TARGETING_KEY: Final = "targetingKey"
_HIDDEN: Final = frozenset({("config", "flags"), ("config", "segments"), ("config", "protected_fields")})
"""How flags are made is nobody's business who only evaluates them."""


class Reason(StrEnum):
    """Why the value is what it is, in OpenFeature's words."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    ERROR = "ERROR"


class ErrorCode(StrEnum):
    """Why there is none, in OpenFeature's words."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    GENERAL = "GENERAL"


class InvalidContext(DomainError):
    """The evaluation context cannot be one."""

    code, kind = "invalid_context", Kind.MALFORMED


class FlagNotFound(NotFound):
    code = "flag_not_found"


class FlagNotEvaluable(DomainError):
    """There is such a flag, but nobody can be told what it is; ``error_code`` is OpenFeature's."""

    code, kind = "flag_not_evaluable", Kind.MALFORMED

    def __init__(self, message: str, error_code: ErrorCode) -> None:
        super().__init__(message)
        self.error_code = error_code


@dataclass(frozen=True, slots=True)
class Context:
    """What a client says of who asks: ``user`` is its targeting key, None without one."""

    user: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)

    def over(self, stored: State) -> dict[str, Value]:
        """Return what rules see: what the client says, and below it what is ``stored`` of the user."""
        return _over(self.attributes, stored) if isinstance(stored, dict) else dict(self.attributes)


def _over(said: Mapping[str, Value], stored: Mapping[str, Value]) -> dict[str, Value]:
    merged = {**stored, **said}
    for key, value in said.items():
        below = stored.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _over(value, below)
    return merged


def context_of(value: State) -> Context:
    """Return the context that a client sends; the targeting key is an attribute, too. Raises InvalidContext."""
    if value is MISSING:
        return Context()
    if not isinstance(value, dict):
        raise InvalidContext("The 'context' must be an object.")
    user = value.get(TARGETING_KEY)
    if user is None or user == "":
        return Context(None, value)
    if not isinstance(user, str) or len(user) > MAX_USER:
        raise InvalidContext(f"The '{TARGETING_KEY}' must be a string of at most {MAX_USER} characters.")
    return Context(user, value)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What a user gets. ``value`` is MISSING where the client is to take the default of its own code.

    All who get the same for the same reason get the same object. ``rule`` is the index of the rule that decided.
    """

    key: str
    value: State
    variant: str
    reason: Reason
    metadata: Mapping[str, Value] = field(default_factory=dict)
    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """That there is nothing to get, and why."""

    key: str
    code: ErrorCode
    details: str

    def refusal(self) -> DomainError:
        """Return it as an error of the catalogue."""
        if self.code is ErrorCode.FLAG_NOT_FOUND:
            return FlagNotFound(self.details)
        return FlagNotEvaluable(self.details, self.code)


Evaluation = Evaluated | Failed


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What who matches ``rules`` gets: ``one``, or what belongs to the first border that a bucket is below."""

    rules: tuple[Rule, ...]
    one: Evaluated | None
    shares: tuple[tuple[int, Evaluated], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A flag with all that it can come to; ``otherwise`` is for whom none of the ``choices`` is."""

    key: str
    choices: tuple[Choice, ...]
    otherwise: Evaluation

    @property
    def asks(self) -> bool:
        """Whether what is known of a user can make a difference."""
        return any(choice.rules for choice in self.choices)


def prepared(flag: Flag | BrokenFlag) -> Prepared:
    """Return the flag with all that it can come to."""
    if isinstance(flag, BrokenFlag):
        return Prepared(flag.key, (), Failed(flag.key, ErrorCode.PARSE_ERROR, flag.reason))
    if not flag.enabled:
        return Prepared(flag.key, (), Evaluated(flag.key, MISSING, flag.default, Reason.DISABLED, flag.metadata))
    reason = Reason.DEFAULT if flag.rules else Reason.STATIC
    choices = tuple(_choice(flag, rule, index) for index, rule in enumerate(flag.rules))
    return Prepared(flag.key, choices, _of(flag, flag.default, reason))


def _choice(flag: Flag, rule: FlagRule, index: int) -> Choice:
    if rule.variant is not None:
        return Choice(rule.rules, _of(flag, rule.variant, Reason.TARGETING_MATCH, index))
    shares = [(share.below, _of(flag, share.variant, Reason.SPLIT, index)) for share in rule.shares]
    return Choice(rule.rules, None, tuple(shares))


def _of(flag: Flag, variant: str, reason: Reason, rule: int | None = None) -> Evaluated:
    return Evaluated(flag.key, flag.variants[variant], variant, reason, flag.metadata, rule)


@dataclass(frozen=True)
class FlagSet:
    """All that can be evaluated in one environment: flags, and the leaves of its project document.

    ``document`` is as readers see it; ``places`` are what is protected in it, ``user_places`` in documents of users.
    """

    document: State
    places: Places
    user_places: Places

    @cached_property
    def flags(self) -> Mapping[str, Prepared]:
        """The flags by their keys, in the order of these."""
        found = flags_of(self.document, self.user_places)
        return {key: prepared(found[key]) for key in sorted(found)}

    @cached_property
    def asks(self) -> bool:
        """Whether what is known of a user can make a difference to some flag."""
        return any(flag.asks for flag in self.flags.values())

    def find(self, key: str) -> Prepared:
        """Return the flag, or what is at the leaf, that ``key`` names."""
        return self.flags.get(key) or Prepared(key, (), self._leaf(key))

    def _leaf(self, key: str) -> Evaluation:
        for path in _paths(key):
            if self.places.covering(path):
                return Failed(key, ErrorCode.GENERAL, f"What stands at {format_pointer(path)[:200]} is protected.")
            value = MISSING if path[:2] in _HIDDEN else lookup(self.document, path)
            if isinstance(value, dict) and value:
                details = f"There is an object at {format_pointer(path)[:200]}: name one of its leaves."
                return Failed(key, ErrorCode.FLAG_NOT_FOUND, details)
            if value is not MISSING:
                return Evaluated(key, MISSING if value is None else value, ONLY_VARIANT, Reason.STATIC)
        return Failed(key, ErrorCode.FLAG_NOT_FOUND, f"There is no flag {key[:200]!r} here, and no leaf of that name.")


def _paths(key: str) -> Iterator[Path]:
    try:
        if key.startswith("/"):
            yield parse_pointer(key)
            return
        yield parse_dotted(key)
        # Clients that join addresses lose the first slash of a pointer.
        if "/" in key:
            yield parse_pointer(f"/{key}")
    except InvalidPath:
        return


def bucket(key: str, user: str) -> int:
    """Return a user's bucket in the splits of a flag, 0 to 9,999: the same in every rule, environment and process.

    The first 8 bytes of SHA-256 over the UTF-8 of ``"flag:" + key + ":" + user``, big-endian, modulo 10,000. Lone
    surrogates, which UTF-8 cannot say, count as ``?``.
    """
    text = f"flag:{key}:{user}".encode(errors="replace")
    return int.from_bytes(sha256(text).digest()[:8], "big") % BUCKETS


def evaluate(flags: Iterable[Prepared], user: str | None, known: dict[str, Value]) -> list[Evaluation]:
    """Return what a user gets for each flag; ``known`` is what rules see of the user."""
    # Flags share segments: each is asked once.
    asked: dict[int, bool] = {}
    return [_evaluated(flag, user, known, asked) if flag.choices else flag.otherwise for flag in flags]


def _evaluated(flag: Prepared, user: str | None, known: dict[str, Value], asked: dict[int, bool]) -> Evaluation:
    for choice in flag.choices:
        if choice.rules:
            holds = asked.get(id(choice.rules))
            if holds is None:
                holds = asked[id(choice.rules)] = matches(choice.rules, known)
            if not holds:
                continue
        return choice.one or _dealt(flag, choice, user)
    return flag.otherwise


def _dealt(flag: Prepared, choice: Choice, user: str | None) -> Evaluation:
    if user is None:
        details = f"A split of the flag {flag.key[:200]!r} needs the '{TARGETING_KEY}' in the context."
        return Failed(flag.key, ErrorCode.TARGETING_KEY_MISSING, details)
    number = bucket(flag.key, user)
    return next(dealt for below, dealt in choice.shares if number < below)
