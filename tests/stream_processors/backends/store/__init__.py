"""The usage store: policies, engines, layout."""
