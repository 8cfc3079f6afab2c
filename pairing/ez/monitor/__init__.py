"""What a device in monitor mode makes of the air: destination, length and time of frames in, credentials out.

Nothing here imports an encoder. Memory is bounded, and whatever is no part of an encoding is ignored.
"""
