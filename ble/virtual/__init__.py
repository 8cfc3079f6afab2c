"""Bluetooth without a radio: an air over bumble, and devices that are processes on it. Needs `doorstep[virtual]`."""

try:
    import bumble  # noqa: F401
except ImportError as error:
    raise ImportError("ble.virtual needs bumble: pip install 'doorstep[virtual]'") from error
