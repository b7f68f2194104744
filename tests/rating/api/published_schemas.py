"""Responses checked against the published schemas of the API that this one is compatible with."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_PUBLISHED = json.loads((Path(__file__).parent / "facts" / "invoice_schemas.json").read_text())


def assert_fits(answer: Any, name: str) -> None:
    """Fails with every violation, by path."""
    schema = {**_PUBLISHED, "$ref": f"#/components/schemas/{name}"}
    wrong = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(answer)]
    assert wrong == []
