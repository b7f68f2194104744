"""One numbered file per migration; a released migration never changes."""
