"""The lean gateway: posted events in, verdicts out; and the HTTP layer that billing shares."""
