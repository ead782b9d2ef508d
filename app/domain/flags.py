"""Feature flags: the entries of the project document's ``config.flags``, read strictly (semantics §6, §11.25).

A flag has one ``value``, or ``variants`` of which ``defaultVariant`` serves everybody that no rule gives another::

    {"variants": {"on": true, "off": false}, "defaultVariant": "off", "enabled": true, "rules": [
        {"segment": "<uuid>", "variant": "on"},
        {"rules": [{"field": "country", "op": "eq", "value": "DE"}], "split": {"on": 12.5, "off": 87.5}}]}

The first rule that a user matches decides. A rule with neither ``segment`` nor ``rules`` matches everybody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate
from typing import Final
from uuid import UUID

from app.domain.errors import DomainError, ValidationFailed
from app.domain.names import is_uuid
from app.domain.pointer import Path, format_pointer
from app.domain.protected import Places
from app.domain.segments import SEGMENTS, Rule, Segment, check_unprotected, parse_rules, segments_of
from app.domain.values import MISSING, State, Value, lookup, same

FLAGS: Final[Path] = ("config", "flags")
MAX_FLAGS: Final = 1_000
MAX_VARIANTS: Final = 100
MAX_RULES: Final = 100
MAX_KEY: Final = 256
BUCKETS: Final = 10_000
ONLY_VARIANT: Final = "value"
"""The name of the variant of a flag that has one value."""

_MEMBERS: Final = frozenset(
    ("value", "variants", "defaultVariant", "rules", "enabled", "description", "metadata"),
)
_PER_PERCENT: Final = BUCKETS // 100


@dataclass(frozen=True, slots=True)
class Share:
    """A variant for the users whose bucket is below ``below`` and not below that of the share before it."""

    variant: str
    below: int


@dataclass(frozen=True, slots=True)
class FlagRule:
    """Who gets what: all who match ``rules`` get ``variant``, or one of ``shares`` by their bucket.

    ``segment`` is where ``rules`` come from, None if they stand in the flag itself.
    """

    rules: tuple[Rule, ...]
    segment: UUID | None
    variant: str | None
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that can be evaluated. ``metadata`` goes out with each evaluation."""

    key: str
    variants: Mapping[str, Value]
    default: str
    rules: tuple[FlagRule, ...] = ()
    enabled: bool = True
    metadata: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokenFlag:
    """A flag that cannot be evaluated, and why: what it needs is gone, or it was written before flags were checked."""

    key: str
    reason: str


def check_flags(old: State, new: State, places: Places) -> None:
    """Raise for the first mistake that a write of the project document makes in its flags.

    A flag that was broken before and is left as it is, is no mistake of this write. ``places`` are the protected ones
    of users. Raises ValidationFailed with the mistake's ``path``, FieldProtected.
    """
    before, after = lookup(old, FLAGS), lookup(new, FLAGS)
    if after is MISSING or (same(before, after) and same(lookup(old, SEGMENTS), lookup(new, SEGMENTS))):
        return
    if not isinstance(after, dict):
        raise _wrong(FLAGS, "must be an object of flags by their keys")
    if len(after) > MAX_FLAGS:
        raise _wrong(FLAGS, f"has {len(after):,} flags; at most {MAX_FLAGS:,} are possible")
    were, segments = flags_of(old, places), segments_of(new)
    for key, value in after.items():
        untouched = isinstance(before, dict) and key in before and same(before[key], value)
        if not untouched or isinstance(were[key], Flag):
            parse_flag(key, value, segments, places)


def flags_of(project_document: State, places: Places) -> dict[str, Flag | BrokenFlag]:
    """Return the flags of a project document as it stands, by their keys."""
    found = lookup(project_document, FLAGS)
    segments = segments_of(project_document)
    return {
        key: _tolerantly(key, value, segments, places)
        for key, value in (found.items() if isinstance(found, dict) else ())
    }


def _tolerantly(key: str, value: Value, segments: Mapping[UUID, Segment], places: Places) -> Flag | BrokenFlag:
    try:
        return parse_flag(key, value, segments, places)
    except DomainError as error:
        return BrokenFlag(key, error.message)


def parse_flag(key: str, value: Value, segments: Mapping[UUID, Segment], places: Places) -> Flag:
    """Return the flag of an entry of ``config.flags``. Raises ValidationFailed, FieldProtected."""
    at = (*FLAGS, key)
    if not 1 <= len(key) <= MAX_KEY or key.startswith("/"):
        raise _wrong(at, f"has a key that is no flag's: 1 to {MAX_KEY} characters, the first of them no '/'")
    if not isinstance(value, dict):
        raise _wrong(at, "must be an object")
    for name in value:
        if name not in _MEMBERS:
            raise _wrong((*at, name), f"is not known here; a flag has {', '.join(sorted(_MEMBERS))}")
    variants, default = _variants(value, at)
    enabled = value.get("enabled", True)
    if not isinstance(enabled, bool):
        raise _wrong((*at, "enabled"), "must be true or false")
    if not isinstance(value.get("description", ""), str):
        raise _wrong((*at, "description"), "must be a string")
    rules = _rules(value.get("rules", []), (*at, "rules"), variants, segments, places)
    return Flag(key, variants, default, rules, enabled, _metadata(value.get("metadata", {}), (*at, "metadata")))


def _variants(flag: Mapping[str, Value], at: Path) -> tuple[Mapping[str, Value], str]:
    if ("value" in flag) is ("variants" in flag):
        raise _wrong(at, "needs either 'value' or 'variants'")
    if "value" in flag:
        if "defaultVariant" in flag or flag.get("rules"):
            raise _wrong(at, "has one value only; a flag with rules or a default needs 'variants'")
        _kind(flag["value"], (*at, "value"))
        return {ONLY_VARIANT: flag["value"]}, ONLY_VARIANT
    variants, default = flag["variants"], flag.get("defaultVariant")
    if not isinstance(variants, dict) or not 1 <= len(variants) <= MAX_VARIANTS:
        raise _wrong((*at, "variants"), f"must be an object of 1 to {MAX_VARIANTS} values")
    kinds = {_kind(value, (*at, "variants", name)) for name, value in variants.items()}
    if len(kinds) > 1:
        raise _wrong((*at, "variants"), f"must be values of one type, and not {' and '.join(sorted(kinds))}")
    return variants, _variant(default, (*at, "defaultVariant"), variants)


def _variant(name: State, at: Path, variants: Mapping[str, Value]) -> str:
    if not isinstance(name, str) or name not in variants:
        raise _wrong(at, f"must name one of the variants: {', '.join(sorted(variants))[:200]}")
    return name


def _kind(value: Value, at: Path) -> str:
    if value is None:
        raise _wrong(at, "must not be null")
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | Decimal):
        return "number"
    return "string" if isinstance(value, str) else "object"


def _metadata(value: Value, at: Path) -> Mapping[str, Value]:
    if not isinstance(value, dict):
        raise _wrong(at, "must be an object")
    for name, item in value.items():
        if item is None or isinstance(item, dict | list):
            raise _wrong((*at, name), "must be a string, a number, true or false")
    return value


def _rules(
    value: Value, at: Path, variants: Mapping[str, Value], segments: Mapping[UUID, Segment], places: Places
) -> tuple[FlagRule, ...]:
    if not isinstance(value, list) or len(value) > MAX_RULES:
        raise _wrong(at, f"must be an array of at most {MAX_RULES} rules")
    return tuple(_rule(rule, (*at, str(index)), variants, segments, places) for index, rule in enumerate(value))


def _rule(
    value: Value, at: Path, variants: Mapping[str, Value], segments: Mapping[UUID, Segment], places: Places
) -> FlagRule:
    if not isinstance(value, dict) or not value.keys() <= {"segment", "rules", "variant", "split"}:
        raise _wrong(at, "must be an object of 'segment' or 'rules', and 'variant' or 'split'")
    if ("variant" in value) is ("split" in value):
        raise _wrong(at, "needs either 'variant' or 'split'")
    segment, rules = _who(value, at, segments)
    check_unprotected(rules, places)
    if "split" in value:
        return FlagRule(rules, segment, None, _shares(value["split"], (*at, "split"), variants))
    return FlagRule(rules, segment, _variant(value["variant"], (*at, "variant"), variants))


def _who(rule: Mapping[str, Value], at: Path, segments: Mapping[UUID, Segment]) -> tuple[UUID | None, tuple[Rule, ...]]:
    if "segment" not in rule:
        return None, parse_rules(rule.get("rules", []), (*at, "rules"))
    if "rules" in rule:
        raise _wrong(at, "has both 'segment' and 'rules'; make it two rules, or one segment")
    named = rule["segment"]
    segment = segments.get(UUID(named)) if isinstance(named, str) and is_uuid(named) else None
    if segment is None:
        raise _wrong((*at, "segment"), "names no segment of this document's 'config.segments'")
    return segment.segment_id, segment.rules


def _shares(value: Value, at: Path, variants: Mapping[str, Value]) -> tuple[Share, ...]:
    if not isinstance(value, dict) or not value:
        raise _wrong(at, "must be an object of percentages by variant")
    for name in value:
        _variant(name, (*at, name), variants)
    # Objects have no order: the variants' names give one, so that every process draws the same borders.
    names = sorted(value)
    buckets = [_buckets(value[name], (*at, name)) for name in names]
    if sum(buckets) != BUCKETS:
        raise _wrong(at, f"must add up to 100 percent, and not to {Decimal(sum(buckets)) / _PER_PERCENT}")
    return _cut(zip(names, accumulate(buckets), strict=True))


def _cut(ends: Iterable[tuple[str, int]]) -> tuple[Share, ...]:
    return tuple(Share(name, below) for name, below in ends)


def _buckets(percent: Value, at: Path) -> int:
    if isinstance(percent, bool) or not isinstance(percent, int | Decimal) or not 0 <= percent <= 100:
        raise _wrong(at, "must be a percentage from 0 to 100")
    buckets = percent * _PER_PERCENT
    if buckets != int(buckets):
        raise _wrong(at, "must be a percentage with at most two decimals")
    return int(buckets)


def _wrong(at: Path, what: str) -> ValidationFailed:
    pointer = format_pointer(at)[:200]
    return ValidationFailed(f"{pointer} {what}.", path=pointer)
