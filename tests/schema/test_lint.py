"""What every part of the schema has in common, so that who knows one part knows the others."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from schema.root import schema_text

SCHEMA: Final[GraphQLSchema] = build_schema(schema_text())
Member = GraphQLField | GraphQLInputField

# What stands in documents, which are any JSON, and what users and webhooks say of themselves.
JSON: Final = {
    "ChoiceInput.value",
    "CheckProtectedFieldInput.value",
    "ConflictValue.value",
    "Diff.jsonPatch",
    "EntityDiff.new",
    "EntityDiff.old",
    "Environment.config",
    "EnvironmentEvent.data",
    "Explanation.value",
    "FlagEvaluation.metadata",
    "FlagEvaluation.value",
    "ImportedDocumentInput.data",
    "Manifest.userFilter",
    "Override.value",
    "PatchInput.jsonPatch",
    "PatchInput.merge",
    "PatchInput.put",
    "PathChange.new",
    "PathChange.old",
    "PathValue.value",
    "ResolvedDocument.data",
    "ResolvedDocument.value",
    "RuleCheck.rule",
    "RuleInput.value",
    "Segment.rules",
    "ValueSetting.value",
    "WebhookDelivery.payload",
}
# Users are named by any text, and may be named wrongly.
TEXTS: Final = {"userUuid"}
CLOSED: Final = {"status", "strategy", "role", "plan", "scopes", "winner", "type"}


def _types() -> Iterator[GraphQLNamedType]:
    specified = {"Boolean", "Float", "ID", "Int", "String"}
    return (type_ for name, type_ in SCHEMA.type_map.items() if not name.startswith("__") and name not in specified)


def _members() -> Iterator[tuple[str, str, Member]]:
    """Yield all fields: their type's name, their own, and what they are."""
    for type_ in _types():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            yield from ((type_.name, name, member) for name, member in type_.fields.items())


OUTPUT: Final = [(of, name, field) for of, name, field in _members() if isinstance(field, GraphQLField)]


def test_names() -> None:
    for type_ in _types():
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", type_.name)
        if isinstance(type_, GraphQLEnumType):
            assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", value) for value in type_.values), type_.name
        if isinstance(type_, GraphQLInputObjectType):
            assert type_.name.endswith("Input") or type_.name in ("At", "AuditFilter")
    for of, name, member in _members():
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), f"{of}.{name}"
        arguments = member.args if isinstance(member, GraphQLField) else ()
        assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", argument) for argument in arguments), f"{of}.{name}"


def test_json_is_only_what_may_be_anything() -> None:
    assert {f"{of}.{name}" for of, name, member in _members() if get_named_type(member.type).name == "JSON"} == JSON


def test_moments_and_uuids_have_types_of_their_own() -> None:
    for of, name, member in _members():
        type_ = get_named_type(member.type).name
        if re.search(r"[a-z]At$", name):
            assert type_ == "DateTime", f"{of}.{name}"
        if re.search(r"(^u|U)uids?$", name) and name.removesuffix("s") not in TEXTS:
            assert type_ == "UUID", f"{of}.{name}"
        if name in CLOSED and of not in ("AuditObject", "WebhookDelivery"):
            assert isinstance(get_named_type(member.type), GraphQLEnumType | GraphQLObjectType), f"{of}.{name}"


def test_lists_hold_no_null_and_answers_no_missing_truth() -> None:
    for of, name, member in _members():
        bare = get_nullable_type(member.type)
        if is_list_type(bare) and f"{of}.{name}" != "Query.nodes":
            assert is_non_null_type(bare.of_type), f"{of}.{name}"
    for of, name, field in OUTPUT:
        if get_named_type(field.type).name == "Boolean":
            assert is_non_null_type(field.type), f"{of}.{name}"
        if is_list_type(get_nullable_type(field.type)):
            assert is_non_null_type(field.type) or field.description, f"{of}.{name}"


def test_connections_are_alike() -> None:
    found = 0
    for of, name, field in OUTPUT:
        type_ = get_named_type(field.type)
        if not type_.name.endswith("Connection"):
            continue
        assert isinstance(type_, GraphQLObjectType)
        found += 1
        # The pages of an environment's differences are those of the field around them.
        if of != "EnvironmentDiff":
            assert (str(field.args["first"].type), str(field.args["after"].type)) == ("Int", "String"), f"{of}.{name}"
        node = get_named_type(type_.fields["nodes"].type).name
        shape = {member: str(known.type) for member, known in type_.fields.items()}
        edge = str(get_named_type(type_.fields["edges"].type))
        wanted = {"edges": f"[{edge}!]!", "nodes": f"[{node}!]!", "pageInfo": "PageInfo!"}
        assert wanted.items() <= shape.items(), type_.name
        assert shape["totalCount"].rstrip("!") == "Int"
        edges = SCHEMA.type_map[edge]
        assert isinstance(edges, GraphQLObjectType)
        assert {"cursor": "String!", "node": f"{node}!"}.items() <= {
            member: str(known.type) for member, known in edges.fields.items()
        }.items()
    assert found >= 15


def test_nodes_have_an_id_and_a_name_in_rest() -> None:
    interface = SCHEMA.type_map["Node"]
    assert isinstance(interface, GraphQLInterfaceType)
    for type_ in SCHEMA.get_possible_types(interface):
        assert str(type_.fields["id"].type) == "ID!"
        assert {"uuid", "projectId", "accountUuid"} & type_.fields.keys(), type_.name


def test_what_is_deprecated_says_what_to_use_instead() -> None:
    for of, name, member in _members():
        assert member.deprecation_reason is None or "`" in member.deprecation_reason, f"{of}.{name}"


# Nothing is looked up by a name here: there is always an answer.
ANSWERS: Final = ("diff", "evaluateFlag", "evaluateFlags", "explain", "route", "segmentPreview")


@pytest.mark.parametrize("kind", ["Query", "Mutation", "Subscription"])
def test_what_may_fail_by_itself_takes_nothing_else_with_it(kind: str) -> None:
    root = SCHEMA.type_map[kind]
    assert isinstance(root, GraphQLObjectType)
    for name, field in root.fields.items():
        nullable = not isinstance(field.type, GraphQLNonNull)
        looks_up = bool(field.args) and not get_named_type(field.type).name.endswith("Connection")
        if kind == "Query" and looks_up and not is_list_type(get_nullable_type(field.type)):
            assert nullable or name in ANSWERS, name
        if kind == "Mutation":
            assert not nullable, name
