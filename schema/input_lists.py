"""How long the lists are that an operation is given. Lists inside JSON are documents, and not counted."""

from collections.abc import Mapping

from graphql import (
    DirectiveNode,
    FieldNode,
    GraphQLDirective,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    is_input_type,
    type_from_ast,
)

from app.domain.values import Value


def longest_argument(node: FieldNode | DirectiveNode, definition: GraphQLField | GraphQLDirective | None) -> int:
    """Return the length of the longest list that stands in the arguments themselves."""
    if definition is None or not node.arguments:
        return 0
    types = {name: argument.type for name, argument in definition.args.items()}
    return max(_longest_literal(given.value, types.get(given.name.value)) for given in node.arguments)


def longest_variable(schema: GraphQLSchema, node: OperationDefinitionNode, variables: Mapping[str, Value]) -> int:
    """Return the length of the longest list in the values, or default values, of an operation's variables."""
    longest = 0
    for declared in node.variable_definitions or ():
        declared_type = type_from_ast(schema, declared.type)
        wanted = declared_type if is_input_type(declared_type) else None
        longest = max(longest, _longest_value(variables.get(declared.variable.name.value), wanted))
        if declared.default_value is not None:
            longest = max(longest, _longest_literal(declared.default_value, wanted))
    return longest


def _longest_literal(node: ValueNode, wanted: GraphQLInputType | None) -> int:
    if isinstance(wanted, GraphQLNonNull):
        wanted = wanted.of_type
    if isinstance(wanted, GraphQLList) and isinstance(node, ListValueNode):
        return max([len(node.values), *(_longest_literal(item, wanted.of_type) for item in node.values)])
    if isinstance(wanted, GraphQLList):
        return _longest_literal(node, wanted.of_type)
    if isinstance(wanted, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
        fields = {name: member.type for name, member in wanted.fields.items()}
        return max((_longest_literal(member.value, fields.get(member.name.value)) for member in node.fields), default=0)
    return 0


def _longest_value(value: Value, wanted: GraphQLInputType | None) -> int:
    if isinstance(wanted, GraphQLNonNull):
        wanted = wanted.of_type
    if isinstance(wanted, GraphQLList):
        if isinstance(value, list):
            return max([len(value), *(_longest_value(item, wanted.of_type) for item in value)])
        return _longest_value(value, wanted.of_type)
    if isinstance(wanted, GraphQLInputObjectType) and isinstance(value, Mapping):
        fields = {name: member.type for name, member in wanted.fields.items()}
        return max((_longest_value(item, fields.get(name)) for name, item in value.items()), default=0)
    return 0
