"""The command's verbs, one module each. Each is loaded only when it is the one that was asked for."""
