"""The tokens of an image in a prompt, from the size in the head of its file and Llama 4's tiling.

Llama 4 cuts an image into up to 16 tiles of 336 pixels, 144 tokens each, with separators between them, and adds the
whole image, shrunk, as one more tile. An image that fits one tile is sent only once. The rules are those of Meta's
published image processor. They are applied to every model, because the rules of the others are not known.
"""

import binascii
import struct
from functools import lru_cache

TILE = 336
MAX_TILES = 16
TILE_TOKENS = 144
UNKNOWN_SIZE_TOKENS = 731

_HEAD = 4 * 21_846  # In Base64 characters, 64 KiB of the file: a photo's EXIF block may stand before its size.

Size = tuple[int, int]


def image_tokens(url: str) -> int:
    """The tokens of the image at ``url``. The size is known only for a ``data:`` URL; no image is downloaded."""
    size = size_of_data_url(url)
    return UNKNOWN_SIZE_TOKENS if size is None else tiled_tokens(*size)


@lru_cache(maxsize=1024)
def tiled_tokens(width: int, height: int) -> int:
    """Llama 4's tokens for an image of this size in pixels."""
    columns, rows = _grid(width, height)
    whole = TILE_TOKENS + 3  # <|image_start|>, <|image|> and <|image_end|>
    if columns * rows == 1:
        return whole
    return whole + columns * rows * TILE_TOKENS + (columns - 1) * rows + rows


def _grid(width: int, height: int) -> Size:
    """The canvas of tiles with the least upscaling of the image, else the least downscaling; of equals the smallest."""
    best: tuple[bool, float, int] | None = None
    chosen = (1, 1)
    for columns in range(1, MAX_TILES + 1):
        for rows in range(1, MAX_TILES // columns + 1):
            scale = min(columns * TILE / width, rows * TILE / height)
            rank = (scale < 1, scale if scale >= 1 else -scale, columns * rows)
            if best is None or rank < best:
                best, chosen = rank, (columns, rows)
    return chosen


def size_of_data_url(url: str) -> Size | None:
    """Width and height of the PNG, GIF, WebP or JPEG in a base64 ``data:`` URL, from its head alone."""
    comma = url.find(",", 0, 256)
    if not url.startswith("data:") or comma < 0 or not url[:comma].endswith(";base64"):
        return None
    encoded = url[comma + 1 : comma + 1 + _HEAD]
    try:
        size = _size_of(binascii.a2b_base64(encoded[: len(encoded) // 4 * 4]))
    except (ValueError, struct.error, IndexError):  # binascii.Error is a ValueError
        return None
    return size if size and min(size) > 0 else None


def _size_of(head: bytes) -> Size | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(">II", head, 16)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", head, 6)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _pair(layout: str, head: bytes, offset: int) -> Size:
    first, second = struct.unpack_from(layout, head, offset)
    return int(first), int(second)


def _webp_size(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8X":  # 24-bit canvas size, minus one
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":  # two 14-bit fields after the signature, minus one
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # 14 bits of size, two of scaling
        width, height = _pair("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_size(head: bytes) -> Size | None:
    """The size in the JPEG's frame header (SOF0 to SOF15 without DHT, JPG and DAC), found by walking the segments."""
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(">HH", head, at + 5)
            return width, height
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
