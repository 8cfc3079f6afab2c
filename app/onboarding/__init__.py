"""Pairing sessions of the homes: who may run them, where they are kept, and how a proved device becomes a home's."""
