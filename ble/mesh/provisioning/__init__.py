"""Provisioning (MshPRT 1.1, chapter 5): both ends, as talks that know no link, clock or store."""
