"""Text that came from a device or a network peer, made fit to be stored, logged and shown."""

import unicodedata

MAX_TEXT = 64


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """`text` in NFC, white space folded, no control or format characters, at most `limit` characters."""
    # Cut before normalizing too: composing is not worth doing for text nobody will see.
    folded = " ".join(unicodedata.normalize("NFC", text[: 4 * limit]).split())
    kept = "".join(c for c in folded if unicodedata.category(c)[0] != "C")
    return kept[:limit].strip()
