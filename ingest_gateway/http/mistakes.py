"""What is wrong with a request: every mistake is told at once, each with its field."""

from schemas.errors import Invalid


class ValidationErrors:
    """What is wrong so far."""

    def __init__(self) -> None:
        self._found: list[dict[str, str]] = []

    def add(self, field: str, message: str) -> None:
        self._found.append({"field": field, "message": message})

    def add_error(self, refusal: Invalid, field: str) -> None:
        self.add(field, refusal.message.removeprefix(f"{field}: "))

    def raise_if_any(self) -> None:
        """Raises Invalid with all of them, if there are any."""
        if self._found:
            first = self._found[0]
            more = f" (and {len(self._found) - 1} more, see details)" if len(self._found) > 1 else ""
            raise Invalid(f"{first['field']}: {first['message']}{more}", field=first["field"], details=self._found)
