"""Answers held against the published schemas of the API that ours is compatible with."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_PUBLISHED = json.loads((Path(__file__).parent / "facts" / "invoice_schemas.json").read_text())


def assert_fits(answer: Any, name: str) -> None:
    """All that is wrong, told by path.

    The published `details` of an error is exactly one of "any type" and null, which null itself can never be: where it
    is null it is left out here.
    """
    if answer.get("error", {}).get("details", ...) is None:
        answer = answer | {"error": {name: value for name, value in answer["error"].items() if name != "details"}}
    schema = {**_PUBLISHED, "$ref": f"#/components/schemas/{name}"}
    wrong = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(answer)]
    assert wrong == []
