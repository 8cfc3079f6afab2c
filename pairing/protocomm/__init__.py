"""ESP-IDF's provisioning (protocomm): messages, security schemes 1 and 2, and both sides of a provisioning, I/O-free.

Scheme 0, which protects nothing, is not spoken. What carries the calls (HTTP, GATT) is not this package's affair,
`http` aside, which is one such carrier.
"""
