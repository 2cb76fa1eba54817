"""Tools as gpt-oss sees them: the harmony format writes a function's JSON schema as a TypeScript-like type, and
descriptions as comments."""

import json
from collections.abc import Mapping, Sequence

_DEEPEST = 16
"""Schemas that are nested deeper are odd, perhaps loops; their inside is left out."""

_NAMES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def render_tools(tools: Sequence[object]) -> str:
    """The declarations of all functions, without the frame around them. Built-in tools have no declaration."""
    functions = [tool.get("function") if isinstance(tool, Mapping) else None for tool in tools]
    return "\n\n".join(_declaration(function) for function in functions if isinstance(function, Mapping))


def _declaration(function: Mapping[str, object]) -> str:
    name = function.get("name", "")
    parameters = function.get("parameters")
    has_any = isinstance(parameters, Mapping) and bool(parameters.get("properties"))
    signature = f"(_: {_type(parameters, 0)}) => any;" if has_any else "() => any;"
    return f"{render_comment(function)}type {name} = {signature}"


def render_comment(schema: Mapping[str, object]) -> str:
    """The description of a function, a property or a JSON schema as comment lines; "" if it has no description."""
    description = schema.get("description")
    if not isinstance(description, str) or not description:
        return ""
    return "".join(f"// {line}\n" for line in description.splitlines())


def _type(schema: object, depth: int) -> str:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return "any"
    for union in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(union), list):
            return " | ".join(_type(option, depth + 1) for option in options)
    if isinstance(values := schema.get("enum"), list):
        return " | ".join(json.dumps(value, ensure_ascii=False, default=str) for value in values)
    return _named_type(schema.get("type"), schema, depth)


def _named_type(kind: object, schema: Mapping[str, object], depth: int) -> str:
    if isinstance(kind, list):
        return " | ".join(_named_type(one, schema, depth) for one in kind if isinstance(one, str))
    if kind == "array":
        return f"{_type(schema.get('items'), depth + 1)}[]"
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        return _object(properties, schema.get("required"), depth)
    if kind == "object":
        return "object"
    return _NAMES.get(kind, "any") if isinstance(kind, str) else "any"


def _object(properties: Mapping[str, object], required: object, depth: int) -> str:
    needed = required if isinstance(required, list | tuple) else ()
    lines = [_property(name, schema, name in needed, depth) for name, schema in properties.items()]
    return "{\n" + "".join(lines) + "}"


def _property(name: str, schema: object, needed: bool, depth: int) -> str:
    comment = default = ""
    if isinstance(schema, Mapping):
        comment = render_comment(schema)
        if "default" in schema:
            default = f" // default: {json.dumps(schema['default'], ensure_ascii=False, default=str)}"
    return f"{comment}{name}{'' if needed else '?'}: {_type(schema, depth + 1)},{default}\n"
