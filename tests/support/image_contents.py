"""Contents of image files that no library writes: colour profiles, and files that unpack to more
than memory holds.
"""

import struct
import zlib

import numpy as np
from PIL import ImageCms


def profile(primaries, gamma=None):
    """An ICC profile of RGB with these chromaticities of red, green and blue, and D65 white; the
    curve is that of sRGB, or a power.
    """
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.3127 / 0.3290, 1, 0.3583 / 0.3290])
    matrix = xyz * np.linalg.solve(xyz, white)
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d50 = np.array([0.9642, 1, 0.8249])
    cones = (bradford @ d50) / (bradford @ white)
    adapted = np.linalg.inv(bradford) @ np.diag(cones) @ bradford @ matrix

    def fixed(number):
        return struct.pack(">i", round(number * 65536))

    curve = b"para" + bytes(4) + struct.pack(">HH", 0 if gamma else 3, 0)
    for number in (gamma,) if gamma else (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045):
        curve += fixed(number)
    text = "Wide".encode("utf-16-be")
    description = b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS"
    tags = {b"desc": description + struct.pack(">II", len(text), 28) + text}
    tags |= {b"wtpt": b"XYZ " + bytes(4) + b"".join(map(fixed, d50))}
    for i, name in enumerate("rgb"):
        tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + b"".join(map(fixed, adapted[:, i]))
        tags[f"{name}TRC".encode()] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = bytearray(128)
    header[:4] = struct.pack(">I", 128 + len(table) + len(body))
    header[8:24] = b"\x04\0\0\0mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = b"".join(map(fixed, d50))
    return bytes(header) + table + body


SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)))
PILLOWS_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ADOBE = profile(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), gamma=563 / 256)


def bomb(path):
    """A PNG of a few bytes that says it has 2.5 thousand million pixels."""
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(b"0"),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            for chunk in chunks
        )
    )
    return path
