"""The length of an Opus packet, which its first bytes tell in every container."""

RATE = 48_000
LONGEST_PACKET = 5760
"""Samples at 48 kHz of the longest packet, which is 120 ms."""
# The samples of one frame by the upper five bits of a packet's first byte.
_FRAMES = (*(480, 960, 1920, 2880) * 3, *(480, 960) * 2, *(120, 240, 480, 960) * 4)


def packet_samples(packet: bytes) -> int:
    """The samples at 48 kHz in a packet. The packet's first two bytes are enough."""
    if not packet:
        return 0
    frames = (1, 2, 2, 0)[packet[0] & 3]
    if not frames and len(packet) > 1:
        frames = packet[1] & 0x3F
    return _FRAMES[packet[0] >> 3] * frames
