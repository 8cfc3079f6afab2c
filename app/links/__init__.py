"""Ways to reach a device once it is ours."""
