"""The service: homes, devices, faces, store, sync."""
