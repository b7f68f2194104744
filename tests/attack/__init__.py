"""Attacks: what a hostile or broken surrounding does must never make the counts wrong in silence."""
