"""Writes `src/fleetprompt/types.py` and `src/fleetprompt/_operations.py` from the API's document.

The document is `docs/openapi.json` of the repository. A test proves that both files are current.
"""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[2] / "docs" / "openapi.json"
PACKAGE = HERE.parent / "src" / "fleetprompt"

Schema = dict[str, Any]


def main() -> None:
    for name, text in generated().items():
        (PACKAGE / name).write_text(text, encoding="utf-8")


def generated() -> dict[str, str]:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    types = Types(document["components"]["schemas"])
    operations = sorted(operations_of(document, types), key=lambda each: each.name)
    return {"types.py": types.module(), "_operations.py": operations_module(operations)}


class Types:
    """The schemas as Python types, by name, in the order in which they can be read."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self.schemas = schemas
        self.classes: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        for name in schemas:
            self.define(type_name(name), schemas[name])

    def define(self, name: str, schema: Schema) -> None:
        if "properties" in schema:
            self.classes[name] = self.typed_dict(name, schema)
        else:
            self.aliases[name] = f"{name}: TypeAlias = {self.alias(name, schema)}\n"

    def alias(self, name: str, schema: Schema) -> str:
        variants = schema.get("oneOf")
        if not variants:
            return self.type_of(schema, name)
        return f"Union[{', '.join(self.type_of(each, name) for each in variants)}]"

    def typed_dict(self, name: str, schema: Schema) -> str:
        """Required and optional fields need a class each as long as Python 3.10 has no `Required`;
        a field that is called like a keyword can stand in no class."""
        required = set(schema.get("required", []))
        properties = {
            field: self.type_of(each, name, field) for field, each in schema["properties"].items()
        }
        words = {field for field in properties if keyword.iskeyword(field)}
        parts: list[str] = []
        bases: list[str] = []
        for total, suffix in ((True, "Words"), (False, "WordsOptional")):
            fields = {
                field: kind
                for field, kind in properties.items()
                if field in words and (field in required) == total
            }
            if fields:
                base = f"_{name}{suffix}"
                listed = ", ".join(f'"{field}": "{kind}"' for field, kind in fields.items())
                parts.append(f'{base} = TypedDict("{base}", {{{listed}}}, total={total})\n')
                bases.append(base)
        first = {
            field: kind
            for field, kind in properties.items()
            if field not in words and field in required
        }
        rest = {
            field: kind
            for field, kind in properties.items()
            if field not in words and field not in required
        }
        if first and rest:
            parts.append(class_of(f"_{name}Required", ["TypedDict"], first, "", True))
            bases.append(f"_{name}Required")
            first = {}
        parts.append(
            class_of(
                name, bases or ["TypedDict"], first or rest, schema.get("description", ""), not rest
            )
        )
        return "\n\n".join(part.rstrip("\n") + "\n" for part in parts)

    def type_of(self, schema: Schema, parent: str = "", field: str = "") -> str:
        if "$ref" in schema:
            return type_name(schema["$ref"].rsplit("/", 1)[1])
        if "oneOf" in schema or "anyOf" in schema:
            variants = schema.get("oneOf") or schema["anyOf"]
            kinds = dict.fromkeys(self.type_of(each, parent, field) for each in variants)
            return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
        if "properties" in schema:
            return self.named(schema, parent, field)
        return self.plain(schema, parent, field)

    def plain(self, schema: Schema, parent: str, field: str) -> str:
        kinds = schema.get("type", [])
        found = [
            self.one(kind, schema, parent, field)
            for kind in ([kinds] if isinstance(kinds, str) else kinds)
        ]
        return " | ".join(found) or "Any"

    def one(self, kind: str, schema: Schema, parent: str, field: str) -> str:
        if kind == "array":
            return f"list[{self.type_of(schema.get('items', {}), parent, field)}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            value = self.type_of(values, parent, field) if isinstance(values, dict) else "Any"
            return f"dict[str, {value}]"
        return {
            "string": "str",
            "integer": "int",
            "number": "float",
            "boolean": "bool",
            "null": "None",
        }[kind]

    def named(self, schema: Schema, parent: str, field: str) -> str:
        """An object inside another schema: a known one, or a new one called after its place."""
        for name, known in self.schemas.items():
            if known == schema:
                return type_name(name)
        name = parent + (capital(field) or variant(schema))
        self.define(name, schema)
        return name

    def module(self) -> str:
        return "\n".join(
            [
                TYPES_HEAD,
                *(f"\n{text}" for text in self.classes.values()),
                "",
                *(text.rstrip("\n") for text in self.aliases.values()),
                "",
            ]
        )


def class_of(
    name: str, bases: list[str], fields: dict[str, str], description: str, total: bool
) -> str:
    head = f"class {name}({', '.join(bases)}{'' if total else ', total=False'}):"
    lines = [f'    """{one_line(description)}"""', ""] if description else []
    lines += [f"    {field}: {kind}" for field, kind in fields.items()]
    return "\n".join([head, *(lines or ["    pass"])]).rstrip() + "\n"


def variant(schema: Schema) -> str:
    status = schema["properties"].get("status", {}).get("enum")
    return capital(status[0] if status and len(status) == 1 else schema["required"][0])


def type_name(name: str) -> str:
    return f"{name.removeprefix('Page_')}Page" if name.startswith("Page_") else name


def capital(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''")


class Operation:
    """One operation of the document, as the client's method will have it."""

    def __init__(self, path: str, method: str, operation: Schema, types: Types) -> None:
        self.name: str = operation["operationId"]
        self.path, self.method = path, method.upper()
        self.about = one_line(
            f"{operation.get('summary', self.name)}. {operation.get('description', '')}".strip()
        )
        parameters = operation.get("parameters", [])
        self.path_fields = re.findall(r"{(\w+)}", path)
        self.query = {
            each["name"]: types.type_of(each["schema"])
            for each in parameters
            if each["in"] == "query"
        }
        self.headers = [each["name"] for each in parameters if each["in"] == "header"]
        self.read_body(operation.get("requestBody"), types)
        self.read_answer(operation["responses"], types)

    def read_body(self, body: Schema | None, types: Types) -> None:
        self.body, self.body_required, self.body_media = "", False, ""
        if body is None:
            return
        if "application/json" not in body["content"]:
            self.body, self.body_required = "bytes", True
            self.body_media = next(iter(body["content"]))
            return
        kind = types.type_of(body["content"]["application/json"]["schema"])
        self.body = "Mapping[str, Any]" if kind == "Any" else kind
        if "application/yaml" in body["content"]:
            self.body += " | str"
        self.body_required = body.get("required", False) and "None" not in kind

    def read_answer(self, responses: Schema, types: Types) -> None:
        content: Schema = next(
            responses[code].get("content", {})
            for code in ("200", "201", "202", "204")
            if code in responses
        )
        self.media = next(iter(content), "")
        self.page_field, self.item = "", ""
        if self.media != "application/json":
            self.answer = "Iterator[Event]" if self.media == "text/event-stream" else "str"
            return
        schema = content["application/json"]["schema"]
        self.answer = types.type_of(schema, capital(self.name), "answer")
        self.read_page(schema, types)

    def read_page(self, schema: Schema, types: Types) -> None:
        known = types.schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], {}).get(
            "properties", {}
        )
        if "cursor" in self.query and "next_cursor" in known:
            self.page_field = next(
                field for field, each in known.items() if each.get("type") == "array"
            )
            self.item = types.type_of(known[self.page_field]["items"])

    @property
    def streams(self) -> bool:
        return self.media == "text/event-stream"

    def arguments(self, *, without: str = "") -> list[str]:
        positional = [f"{field}: str" for field in self.path_fields]
        if self.body:
            positional.append(f"body: {self.body}" + ("" if self.body_required else " = None"))
        named = [
            f"{field}: {kind} | None = None"
            for field, kind in self.query.items()
            if field != without
        ]
        named += [f"{header_field(header)}: str | None = None" for header in self.headers]
        return ["self", *positional, *(["*", *named] if named else [])]

    def call(self) -> str:
        path = re.sub(r"{(\w+)}", r"{quoted(\1)}", self.path)
        parts = [f'"{self.method}"', f'{"f" if self.path_fields else ""}"{path}"']
        if self.query:
            parts.append("query={" + ", ".join(f'"{field}": {field}' for field in self.query) + "}")
        if self.body:
            parts.append("body=body")
        if self.body_media:
            parts.append(f'media="{self.body_media}"')
        parts += [f"{header_field(header)}={header_field(header)}" for header in self.headers]
        return ", ".join(parts)


def header_field(header: str) -> str:
    return header.lower().replace("-", "_")


def operations_of(document: Schema, types: Types) -> list[Operation]:
    return [
        Operation(path, method, operation, types)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "operationId" in operation
    ]


def operations_module(operations: list[Operation]) -> str:
    lines = [OPERATIONS_HEAD]
    for asynchronous in (False, True):
        lines.append(ASYNC_CLASS if asynchronous else SYNC_CLASS)
        for operation in operations:
            lines += methods_of(operation, asynchronous)
    return "\n".join(lines).rstrip() + "\n"


def methods_of(operation: Operation, asynchronous: bool) -> list[str]:
    if operation.streams:
        return [stream_method(operation, asynchronous)]
    methods = [*overloads(operation, asynchronous), call_method(operation, asynchronous)]
    if operation.page_field:
        methods.append(each_method(operation, asynchronous))
    return methods


def overloads(operation: Operation, asynchronous: bool) -> list[str]:
    """One signal has one answer, and many have many."""
    if operation.name != "signal_emit":
        return []
    kinds = (("EmitSignal", "Emitted"), ("list[EmitSignal]", "EmittedMany"))
    prefix = "async " if asynchronous else ""
    return [
        f"    @overload\n    {prefix}def signal_emit(self, body: {body}) -> {answer}: ...\n"
        for body, answer in kinds
    ]


def call_method(operation: Operation, asynchronous: bool) -> str:
    prefix, wait = ("async ", "await ") if asynchronous else ("", "")
    return "\n".join(
        [
            signature(prefix, operation.name, operation.arguments(), operation.answer),
            *docstring(operation.about),
            f"        answer: {operation.answer} = {wait}self._call({operation.call()})",
            "        return answer",
            "",
        ]
    )


def stream_method(operation: Operation, asynchronous: bool) -> str:
    answer = (
        operation.answer.replace("Iterator", "AsyncIterator") if asynchronous else operation.answer
    )
    return "\n".join(
        [
            signature("", operation.name, operation.arguments(), answer),
            *docstring(operation.about),
            f"        return self._follow({operation.call()})",
            "",
        ]
    )


def each_method(operation: Operation, asynchronous: bool) -> str:
    """All pages of a list, one thing after the other."""
    prefix, wait = ("async ", "await ") if asynchronous else ("", "")
    fields = [
        *operation.path_fields,
        *(f"{field}={field}" for field in operation.query if field != "cursor"),
    ]
    name = operation.name.removesuffix("_list") + "_each"
    kind = f"{'AsyncIterator' if asynchronous else 'Iterator'}[{operation.item}]"
    call = f"self.{operation.name}({', '.join([*fields, 'cursor=cursor'])})"
    return "\n".join(
        [
            signature(prefix, name, operation.arguments(without="cursor"), kind),
            *docstring(f"`{operation.name}`, page after page; `limit` is the size of a page."),
            "        cursor: str | None = None",
            "        while True:",
            f"            page = {wait}{call}",
            f'            for each in page["{operation.page_field}"]:',
            "                yield each",
            '            cursor = page.get("next_cursor")',
            "            if not cursor:",
            "                return",
            "",
        ]
    )


def signature(prefix: str, name: str, arguments: list[str], answer: str) -> str:
    flat = f"    {prefix}def {name}({', '.join(arguments)}) -> {answer}:"
    if len(flat) <= 100:
        return flat
    listed = "".join(f"        {argument},\n" for argument in arguments)
    return f"    {prefix}def {name}(\n{listed}    ) -> {answer}:"


def docstring(text: str) -> list[str]:
    lines = textwrap.wrap(text, 88, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return [f'        """{lines[0]}"""']
    return [f'        """{lines[0]}', *(f"        {line}" for line in lines[1:]), '        """']


TYPES_HEAD = '''"""What the API takes and answers, as typed dictionaries.

Generated by scripts/generate.py from the API's document: do not edit.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict, Union
'''

OPERATIONS_HEAD = '''"""Every operation of the API as a method, once plain and once asynchronous.

Generated by scripts/generate.py from the API's document: do not edit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, overload
from urllib.parse import quote

from .events import Event
from .types import *  # noqa: F403


def quoted(segment: str) -> str:
    return quote(segment, safe="")
'''

SYNC_CLASS = """
class Operations:
    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        media: str = "application/json",
        idempotency_key: str | None = None,
    ) -> Any:
        raise NotImplementedError

    def _follow(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        last_event_id: str | None = None,
    ) -> Iterator[Event]:
        raise NotImplementedError
"""

ASYNC_CLASS = (
    SYNC_CLASS.replace("class Operations", "class AsyncOperations")
    .replace("    def _call", "    async def _call")
    .replace("Iterator[Event]", "AsyncIterator[Event]")
)


if __name__ == "__main__":
    main()
