"""Homes, their rooms and members, and the invitations that make members."""
