"""The numbers of the encodings, as their formats state them: all that encoders and decoders share besides CRC-8.

Lengths are octets of UDP payload. A listener sees them plus a constant it has to learn (`monitor`).
"""

BSSID_SIZE = 6

# Tuya, broadcast lane
TUYA_BROADCAST_PORT = 30011
TUYA_PREAMBLE = (1, 3, 6, 10)
TUYA_LENGTH_HIGH, TUYA_LENGTH_LOW, TUYA_CRC_HIGH, TUYA_CRC_LOW = 0x10, 0x20, 0x30, 0x40

# Groups of data, in Tuya's broadcast lane and in AirKiss
GROUP_MARK = 0x80
GROUP_DATA = 0x100
GROUP_SIZE = 4
GROUP_CRC_MASK = 0x7F
"""Only seven of the eight bits of a group's CRC travel."""

# Tuya, multicast lane
TUYA_MULTICAST_PORT = 30012
TUYA_MULTICAST_NET = 226
TUYA_LOCK = ((120, b"TY"), (121, b"ST"), (122, b"01"))
TUYA_PASSWORD_AT, TUYA_TOKEN_AT, TUYA_SSID_AT = 0, 32, 64
TUYA_FIELD_HEAD = 3
"""Addresses before a field's own: its length twice, its CRC-32 in two halves."""
TUYA_FIELD_SPAN = 32
"""Addresses from one field's to the next one's: what a field may take."""
TUYA_KEY = b"a3c6794oiu876t54"
"""The same in every product, and public: it hides nothing."""
TUYA_TOKEN_SIZE = 14
"""Region 2, token 8, secret 4."""

# ESP-TOUCH v1
ESPTOUCH_PORT = 7001
ESPTOUCH1_GUIDE = (515, 514, 513, 512)
ESPTOUCH1_OFFSET = 40
ESPTOUCH1_INDEX = ESPTOUCH1_OFFSET + 0x100
ESPTOUCH1_HEAD = 9
"""Record octets before the password: lengths, checks, the sender's IPv4 address."""
ESPTOUCH1_ANSWER_PORT = 18266

# ESP-TOUCH v2
ESPTOUCH2_SYNC = 1048
ESPTOUCH2_COUNT = 1072
ESPTOUCH2_NUMBER = 128
ESPTOUCH2_DATA = 0x40
ESPTOUCH2_BLOCK = 6
ESPTOUCH2_EIGHT_BIT = 0x80
ESPTOUCH2_RESERVED_MAX = 64
ESPTOUCH2_IV_REGION = 20
ESPTOUCH2_NO_CIPHER, ESPTOUCH2_ZERO_IV, ESPTOUCH2_RANDOM_IV = 0, 1, 2
ESPTOUCH2_ANSWER_PORTS = (18266, 28266, 38266, 48266)
ESPTOUCH2_ACK_PORT = 7002

# AirKiss
AIRKISS_PREAMBLE = (1, 2, 3, 4)
AIRKISS_NO_HIGH_NIBBLE = 8
"""Stands for a total length below 16: a length of 0 cannot be sent."""
AIRKISS_LENGTH_LOW, AIRKISS_SSID_CRC_HIGH, AIRKISS_SSID_CRC_LOW = 0x10, 0x20, 0x30
AIRKISS_PASSWORD_HIGH, AIRKISS_PASSWORD_LOW, AIRKISS_PASSWORD_CRC_HIGH, AIRKISS_PASSWORD_CRC_LOW = (
    0x40,
    0x50,
    0x60,
    0x70,
)
AIRKISS_ANSWER_PORT = 10000
