"""Bluetooth without an adapter, over bumble (the extra `doorstep[virtual]`).

`air` is what devices hear each other through, `peripheral` a device on it, `radio` the hub's `ble.radio.Radio`.
"""

try:
    import bumble  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "virtual Bluetooth needs bumble: install it with pip install 'doorstep[virtual]'", name="bumble"
    ) from error
