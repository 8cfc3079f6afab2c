"""What happens on the hub, told to whoever may know: the bus, and its server-sent events ending."""
