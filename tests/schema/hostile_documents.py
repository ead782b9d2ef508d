"""Documents that mean harm: made by hand after known attacks, and families that grow with a number."""

from collections.abc import Callable, Mapping
from typing import Final

LIMITED: Final = "query_limit_exceeded"
INVALID: Final = "graphql_invalid"
UNPARSABLE: Final = "graphql_parse_failed"


def _chain(count: int, on: str, body: str, times: int = 2) -> str:
    spreads = "".join(f"fragment f{n} on {on} {{ {f'...f{n + 1} ' * times} }} " for n in range(count))
    return f"{spreads} fragment f{count} on {on} {{ {body} }}"


def doubling(count: int) -> str:
    """Each fragment spreads the next twice: 2^count fields."""
    return "{ viewer { ...f0 } } " + _chain(count, "Viewer", "name")


def doubling_with_fields(count: int) -> str:
    """The same with a field in each fragment."""
    body = "".join(f"fragment f{n} on Viewer {{ name ...f{n + 1} ...f{n + 1} }} " for n in range(count))
    return f"{{ viewer {{ ...f0 }} }} {body} fragment f{count} on Viewer {{ name }}"


def doubling_through_fields(count: int) -> str:
    """Each fragment selects two fields whose selections are the next fragment."""
    body = "".join(
        f"fragment f{n} on Generation {{ children {{ ...f{n + 1} }} parent {{ ...f{n + 1} }} }} " for n in range(count)
    )
    return f'{{ generation(uuid: "x") {{ ...f0 }} }} {body} fragment f{count} on Generation {{ uuid }}'


def doubling_of_introspection(count: int) -> str:
    """Types of fields of types, twice each."""
    body = "".join(
        f"fragment f{n} on __Type {{ ofType {{ ...f{n + 1} }} fields {{ type {{ ...f{n + 1} }} }} }} "
        for n in range(count)
    )
    return f"{{ __schema {{ types {{ ...f0 }} }} }} {body} fragment f{count} on __Type {{ name }}"


def named_like_introspection(count: int) -> str:
    """Fragments whose names begin as introspection does hide nothing."""
    return doubling(count).replace("f", "__schema").replace("__schemaragment", "fragment")


FAMILIES: Final[Mapping[str, Callable[[int], str]]] = {
    "doubling": doubling,
    "doubling_with_fields": doubling_with_fields,
    "doubling_through_fields": doubling_through_fields,
    "doubling_of_introspection": doubling_of_introspection,
    "named_like_introspection": named_like_introspection,
    "equal_fields": lambda count: "{ viewer { " + "name " * count + "} }",
    "equal_root_fields": lambda count: "{ " + "__typename " * count + "}",
    "equal_objects": lambda count: "{ viewer { " + "activeEnvironment(projectId: 1) { name } " * count + "} }",
    "objects_in_objects": lambda count: (
        '{ generation(uuid: "x") { ' + "children { children { number } } " * count + "} }"
    ),
    "unknown_fields": lambda count: "{ viewer { " + " ".join(f"nam{n}" for n in range(count)) + " } }",
    "unknown_arguments": lambda count: "{ node(" + " ".join(f"a{n}: 1" for n in range(count)) + ") { id } }",
    "unknown_input_fields": lambda count: (
        "mutation { writeDocument(input: {" + " ".join(f"a{n}: 1" for n in range(count)) + "}) { __typename } }"
    ),
    "unknown_directives": lambda count: "{ __typename " + "@a " * count + "}",
    "unknown_types": lambda count: (
        '{ node(id: "x") { ' + "".join(f"... on T{n} {{ id }} " for n in range(count)) + "}}"
    ),
    "unknown_fragments": lambda count: "{ " + " ".join(f"...f{n}" for n in range(count)) + " }",
    "directives": lambda count: "{ __typename " + "@skip(if: true) " * count + "}",
    "directives_by_fragments": lambda count: (
        "{ " + "...a " * 19 + "} fragment a on Query { __typename " + "@skip(if: false) " * count + "}"
    ),
    "aliases": lambda count: "{ viewer { " + " ".join(f"a{n}: name" for n in range(count)) + " } }",
    "aliases_by_fragments": lambda count: (
        "{ viewer { " + "...a " * count + "} } fragment a on Viewer { a: name b: name }"
    ),
    "nested_fields": lambda count: "{ " + "viewer { " * count + "name " + "} " * count + "}",
    "nested_inline_fragments": lambda count: "{ " + "... { " * count + "__typename " + "} " * count + "}",
    "nested_lists": lambda count: "{ nodes(ids: " + "[" * count + "]" * count + ") { id } }",
    "nested_input": lambda count: (
        "mutation { writeDocument(input: {patch: {put: " + "{a: " * count + "1" + "}" * count + "}}) { __typename } }"
    ),
    "tree": lambda count: '{ generation(uuid: "x") { ' + "children { " * count + "uuid " + "} " * count + "} }",
    "tree_up_and_down": lambda count: (
        '{ generation(uuid: "x") { ' + "children { parent { " * count + "uuid " + "} } " * count + "} }"
    ),
    "forks": lambda count: '{ environment(uuid: "x") { ' + "children { " * count + "name " + "} " * count + "} }",
    "ids": lambda count: "{ nodes(ids: [" + '"x" ' * count + "]) { id } }",
    "comments": lambda count: "{ __typename }" + "#\n" * count,
    "long_comments": lambda count: "{ __typename }" + f"# {'x' * 100}\n" * count,
    "long_strings": lambda count: '{ node(id: "' + "x" * 10 * count + '") { id } }',
    "block_strings": lambda count: '"""\n' + '\\"""\n' * count,
    "commas": lambda count: "{ __typename" + "," * 10 * count + "}",
    "operations": lambda count: " ".join(f"query q{n} {{ __typename }}" for n in range(count)),
    "fragments_of_one_name": lambda count: "{ ...a } " + "fragment a on Query { __typename } " * count,
    "unused_fragments": lambda count: (
        "{ __typename } " + " ".join(f"fragment f{n} on Query {{ __typename }}" for n in range(count))
    ),
    "crossing_fragments": lambda count: (
        '{ generation(uuid: "x") { '
        + " ".join(f"...f{n}" for n in range(count))
        + " } } "
        + " ".join(f"fragment f{n} on Generation {{ children {{ number }} }}" for n in range(count))
    ),
    "cycle": lambda count: (
        "{ ...f0 } " + " ".join(f"fragment f{n} on Query {{ ...f{(n + 1) % count} }}" for n in range(count))
    ),
    "variables": lambda count: "query(" + " ".join(f"$v{n}: Int" for n in range(count)) + ") { __typename }",
    "variables_with_defaults": lambda count: (
        "query(" + " ".join(f"$v{n}: Int = {n}" for n in range(count)) + ") { __typename }"
    ),
    "introspected_types": lambda count: (
        "{ __schema { "
        + " ".join(f"t{n}: types {{ ...t }}" for n in range(count))
        + " } } fragment t on __Type { name fields { name args { name type { name } } type { name } } }"
    ),
}

PAGES: Final = (
    "{ projects(first: 200) { nodes { environments(first: 200) { nodes { name } } } } }",
    "{ projects(first: 200) { edges { node { environments(first: 200) { edges { node { name } } } } } } }",
    "query ($n: Int = 200) { projects(first: $n) { nodes { environments(first: $n) { nodes { name } } } } }",
    "query ($n: Int!) { projects(first: $n) { nodes { environments(first: $n) { nodes { name } } } } }",
    "{ projects(first: 200) { ...p } } fragment p on ProjectConnection { nodes { ...q } }"
    " fragment q on Project { environments(first: 200) { ...e } } fragment e on EnvironmentConnection"
    " { nodes { name } }",
    "{ projects { nodes { environments { nodes { history { nodes { version } } } } } } }",
    '{ projects(first: 100) { nodes { environments(first: 20) { nodes { documents(kind: "a", first: 200) { totalCount'
    " nodes { key } } } } } } }",
    '{ projects(first: 200) { nodes { production { documents(kind: "user", first: 200) { nodes {'
    ' blame(pointer: "/a") { version } } } } } } }',
    "{ projects(first: 200) { nodes { production { diff(first: 200) { entities { nodes { key } } } } } } }",
    "{ projects(first: 99999999999999999999) { nodes { environments(first: 200) { nodes { name } } } } }",
)
"""Products of page sizes."""

INTROSPECTION: Final = (
    "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    "{ __schema { types { fields { args { type { fields { name } } } } } } }",
    '{ __type(name: "Query") { fields { type { fields { type { fields { name } } } } } } }',
    "{ __schema { types { interfaces { possibleTypes { interfaces { name } } } } } }",
    "{ __schema { types { inputFields { type { inputFields { type { inputFields { name } } } } } } } }",
    "{ __schema { types { ...a } } } fragment a on __Type { fields { type { ...b } } }"
    " fragment b on __Type { fields { type { ...c } } } fragment c on __Type { fields { name } }",
    "{ __schema { types { " + "ofType { " * 25 + "name " + "} " * 25 + "} } }",
)
"""Introspection that is larger than any tool's."""
