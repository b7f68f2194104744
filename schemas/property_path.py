"""Property paths: `$.tokens`, `$.usage.total`, `$['odd name']`. A subset of JSONPath."""

import re
from functools import lru_cache

from schemas.errors import Invalid

_STEP = re.compile(r"""\.(?P<name>[A-Za-z_][A-Za-z0-9_-]*)|\['(?P<quoted>(?:[^'\\]|\\.)+)'\]""")

PathSteps = tuple[str, ...]


@lru_cache(maxsize=4096)
def parse_path(text: str, field: str) -> PathSteps:
    """The property names, outermost first. Raises Invalid with the field and the first unreadable character."""
    if not text.startswith("$"):
        raise Invalid(f"{field}: a property path starts with '$', such as $.tokens; got {text!r}", field=field)
    steps: list[str] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise Invalid(
                f"{field}: cannot read {text!r} from character {at + 1} on; "
                "write $.name, $.outer.inner or $['odd name']",
                field=field,
            )
        quoted = step["quoted"]
        steps.append(step["name"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = step.end()
    if not steps:
        raise Invalid(f"{field}: '$' alone names no property; write $.name", field=field)
    return tuple(steps)
