"""Matter's codes written from the text of the specification, apart from what reads them; check digits by table."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."

# Verhoeff 1969, as it is printed everywhere: multiplication in D5, inverses, permutations.
D = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
INVERSE = (0, 4, 3, 2, 1, 5, 6, 7, 8, 9)
P = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


def verhoeff(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits), 1):
        total = D[total][P[place % 8][int(digit)]]
    return str(INVERSE[total])


def packed(
    vendor: int,
    product: int,
    discriminator: int,
    passcode: int,
    *,
    version: int = 0,
    flow: int = 0,
    discovery: int = 4,
    padding: int = 0,
) -> bytes:
    """The 88 bits, as a string of binary digits turned into octets."""
    fields = ((padding, 4), (passcode, 27), (discriminator, 12), (discovery, 8), (flow, 2))
    bits = "".join(f"{value:0{width}b}" for value, width in (*fields, (product, 16), (vendor, 16), (version, 3)))
    return int(bits, 2).to_bytes(11, "little")


def base38(octets: bytes) -> str:
    text = ""
    for start in range(0, len(octets), 3):
        group = octets[start : start + 3]
        value = int.from_bytes(group, "little")
        for _ in range({1: 2, 2: 4, 3: 5}[len(group)]):
            text += ALPHABET[value % 38]
            value //= 38
    return text


def qr(octets: bytes) -> str:
    return f"MT:{base38(octets)}"


def manual(discriminator: int, passcode: int, vendor: int | None = None, product: int | None = None) -> str:
    short = discriminator >> 8
    first = (short >> 2) | (4 if vendor is not None else 0)
    text = f"{first}{(short & 3) << 14 | passcode & 0x3FFF:05}{passcode >> 14:04}"
    if vendor is not None:
        text += f"{vendor:05}{product:05}"
    return text + verhoeff(text)
