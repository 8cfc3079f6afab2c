"""A home shown to another platform."""
