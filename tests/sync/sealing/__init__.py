"""A home's secrets, sealed."""
