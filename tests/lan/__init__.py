"""Homes as network namespaces on this machine: hub, phone, devices, Wi-Fi and routers, with programs of their own."""
