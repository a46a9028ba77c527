"""The generated files are those that the API's document gives."""

from __future__ import annotations

import json

import generate
import pytest

from fleetprompt import AsyncClient, Client

in_repository = pytest.mark.skipif(
    not generate.DOCUMENT.exists(), reason="the API's document is in the repository only"
)


@in_repository
def test_the_generated_files_are_current() -> None:
    for name, text in generate.generated().items():
        found = (generate.PACKAGE / name).read_text(encoding="utf-8")
        assert found == text, f"run `python scripts/generate.py`: {name} is not current"


@in_repository
def test_every_operation_of_the_document_is_a_method() -> None:
    document = json.loads(generate.DOCUMENT.read_text(encoding="utf-8"))
    operations = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert operations
    assert [name for name in operations if not hasattr(Client, name)] == []
    assert [name for name in operations if not hasattr(AsyncClient, name)] == []
