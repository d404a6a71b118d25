"""Video files for tests, and their frames as any decoder of FFmpeg gives them."""

import av
import numpy as np


def moving(image, count, size=64):
    """Frames (size, size, 3) that move over an image."""
    offsets = np.arange(count) % (min(image.shape[:2]) - size)
    return [image[o : o + size, o : o + size] for o in offsets]


def write_video(path, frames, rate=25, crf=10, **options):
    """Writes frames with H.264 at this constant rate factor or, for crf=None, without loss."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264" if crf is not None else "ffv1", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p" if crf is not None else "bgr0"
        stream.options = {"threads": "1"} | ({} if crf is None else {"crf": str(crf)})
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def read_frames(path):
    """The frames of a file, (T, H, W, 3) uint8."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def set_display_matrix(path, matrix):
    """Writes the part (a, b, c, d) of the display matrix of a .mp4 file's first track."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # after version, times, number, duration, layer, volume
    for offset, number in zip((0, 4, 12, 16), matrix, strict=True):
        content[start + offset : start + offset + 4] = (number * 65536).to_bytes(4, signed=True)
    path.write_bytes(content)
