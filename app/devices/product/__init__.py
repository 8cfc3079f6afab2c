"""Product models: what a kind of device has and can do. Pure; the device's half and the dialects read it too."""
