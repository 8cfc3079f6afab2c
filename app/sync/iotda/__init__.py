"""A home's devices shown to a platform that speaks IoTDA, this hub being their gateway there: see README.md."""
