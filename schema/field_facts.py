"""What a field may lead to, as far as the schema tells: how much an answer can hold is known before it is computed."""

from dataclasses import dataclass
from typing import Final

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from app.domain.rates import WRITE_POINTS

UNITS_PER_POINT: Final = 10
"""A point of the rate limit is what a document costs that is read by REST; a value costs a tenth of that."""
_VALUE: Final = 1
_CALL: Final = UNITS_PER_POINT
_MUTATION: Final = WRITE_POINTS * UNITS_PER_POINT

# The tree's own edges: they have a limit of depth of their own, and what they lead to is counted as it is walked.
_TREE: Final = frozenset(
    {("Generation", "children"), ("Generation", "parent"), ("Environment", "children"), ("Environment", "parent")}
)
# A call of a service for each object, however many there are at once.
_CALLS: Final = frozenset({("ResolvedDocument", "blame")})
# What guesses at a secret is counted by field, so it can be asked for once in an operation.
_ONCE: Final = frozenset({("Mutation", "checkProtectedField"), ("Mutation", "logIn")})
_WRAPPERS: Final = ("Connection", "Edge", "PageInfo")
# Longer than lists that are neither pages nor the tree commonly are.
_LIST: Final = 10
_META_LISTS: Final = {"fields": 8, "args": 2, "enumValues": 5, "inputFields": 5, "interfaces": 1, "possibleTypes": 3}


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What is known of a field.

    ``type`` is what its selections are made on, ``units`` what it costs itself, ``size`` how many objects it may give,
    ``nodes`` whether they count as such. ``paged``: it takes ``first``; ``is_item``: it gives the items of the page
    that the object around it is. ``meta``: it belongs to introspection, ``enters_meta``: it begins one.
    """

    definition: GraphQLField | None = None
    type: GraphQLNamedType | None = None
    units: int = _VALUE
    size: int = 1
    nodes: int = 0
    paged: bool = False
    is_item: bool = False
    tree: bool = False
    once: bool = False
    meta: bool = False
    meta_list: bool = False
    enters_meta: bool = False


UNKNOWN: Final = FieldFacts()
"""A field that the schema does not have; the library's rules will say so."""


class SchemaFacts:
    """The facts of a schema's fields, each found out once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._known: dict[tuple[str, str], FieldFacts] = {}

    def field(self, parent: GraphQLNamedType | None, name: str) -> FieldFacts:
        """Return the facts of a field."""
        if parent is None:
            return UNKNOWN
        known = self._known.get((parent.name, name))
        if known is None:
            definition = self._definition(parent, name)
            if definition is None:
                return UNKNOWN
            known = self._known[parent.name, name] = self._found(parent, name, definition)
        return known

    def _definition(self, parent: GraphQLNamedType, name: str) -> GraphQLField | None:
        if parent is self.schema.query_type and name in ("__schema", "__type"):
            return SchemaMetaFieldDef if name == "__schema" else TypeMetaFieldDef
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            fields: dict[str, GraphQLField] = parent.fields
            return fields.get(name)
        return None

    def _found(self, parent: GraphQLNamedType, name: str, definition: GraphQLField) -> FieldFacts:
        named, place = get_named_type(definition.type), (parent.name, name)
        is_list = is_composite_type(named) and is_list_type(get_nullable_type(definition.type))
        meta = parent.name.startswith("__")
        return FieldFacts(
            definition=definition,
            type=named,
            units=self._units(parent, name, definition),
            size=self._size(name, meta=meta) if is_list and place not in _TREE else 1,
            nodes=int(is_composite_type(named) and not meta and not named.name.endswith(_WRAPPERS)),
            paged="first" in definition.args,
            is_item=is_list and parent.name.endswith("Connection"),
            tree=place in _TREE,
            once=place in _ONCE,
            meta=meta,
            meta_list=meta and name in _META_LISTS,
            enters_meta=not meta and named.name.startswith("__"),
        )

    def _units(self, parent: GraphQLNamedType, name: str, definition: GraphQLField) -> int:
        if parent is self.schema.mutation_type:
            return _MUTATION
        return _CALL if "first" in definition.args or (parent.name, name) in _CALLS else _VALUE

    def _size(self, name: str, *, meta: bool) -> int:
        if meta:
            return len(self.schema.type_map) if name == "types" else _META_LISTS.get(name, _LIST)
        return _LIST
