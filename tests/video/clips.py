"""Small videos whose frame numbers can be read off their pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 96, 64


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """An image whose frame number can be read off its blocks, bit by bit, after any codec."""
    image = np.full((height, width, 3), 40, np.uint8)
    ramp = np.linspace(0, 120, width, dtype=np.uint8)
    image[height // 2 :, :, 1] = np.roll(ramp, 3 * index)
    for bit in range(12):
        if index >> bit & 1:
            image[: height // 4, bit * width // 12 : (bit + 1) * width // 12] = 220
    return image


def number(image: np.ndarray) -> int:
    """The frame number drawn by `picture`."""
    width, top = image.shape[1], image[: image.shape[0] // 4]
    means = [top[2:-2, bit * width // 12 + 2 : (bit + 1) * width // 12 - 2].mean() for bit in range(12)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 130)


def encode(
    path: Path,
    count: int = 60,
    codec: str = "libx264",
    times: list[int] | None = None,
    rate: int = 25,
    rotation: int | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    container: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write a test video by PyAV; `times` are time stamps in milliseconds."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def scene(name: str, count: int = 90, width: int = 128, height: int = 96) -> np.ndarray:
    """Small clips (count, H, W, 3) that look like footage: "pan", "crowd" (a still camera), "zoom"; or "still"."""
    import cv2

    rng = np.random.default_rng(len(name))
    ground = cv2.GaussianBlur(rng.uniform(0, 255, (3 * height, 4 * width, 3)).astype(np.float32), (0, 0), 3)
    ground = 128 + 4 * (ground - ground.mean())
    found = []
    for i in range(count):
        x, y, zoom = {"pan": (2.0 * i, 20 * np.sin(i / 15), 1), "zoom": (40, 30, 1 + i / 40)}.get(
            name, (9, 9, 1)
        )
        move = np.float32([[zoom, 0, -zoom * (x + 10)], [0, zoom, -zoom * (y + 30)]])
        image = cv2.warpAffine(ground, move, (width, height))
        for k in range(4 if name == "crowd" else 0):
            at = (int(width * (0.5 + 0.4 * np.sin(i / (9 + 4 * k) + k))), int(height * (0.2 + 0.2 * k)))
            cv2.circle(image, at, 9, (40 * k, 250 - 60 * k, 90), -1)
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(found)


def encode_images(
    path: Path, images: np.ndarray, times: list[int] | None = None, rate: int = 25, **options: str
) -> Path:
    """Write images (N, H, W, 3) as H.264; `times` are time stamps in milliseconds."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "28", "g": "30", **options})
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    """What plain PyAV decodes from start to end."""
    with av.open(str(path)) as file:
        return [np.ascontiguousarray(f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]


VARIANTS = {
    "h264_bframes.mp4": {"codec": "libx264", "g": "12", "bf": "3"},
    "h264_open_gop.mkv": {"codec": "libx264", "x264-params": "open-gop=1:keyint=10:bframes=3:scenecut=0"},
    "h264_long_gop.mp4": {"codec": "libx264", "g": "250", "bf": "2"},
    "h264_short_gop.mp4": {"codec": "libx264", "g": "3", "bf": "2"},
    "h264_intra_refresh.mkv": {"codec": "libx264", "x264-params": "intra-refresh=1:keyint=15"},
    "hevc.mp4": {"codec": "libx265", "x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": "15", "deadline": "realtime", "cpu-used": "8"},
    "vp8_hidden_frames.webm": {"codec": "libvpx", "g": "20", "auto-alt-ref": "1", "lag-in-frames": "8"},
    "mpeg4.avi": {"codec": "mpeg4", "g": "12"},
    "mpeg4_bframes.avi": {"codec": "mpeg4", "g": "12", "bf": "2"},
    "mpeg2.ts": {"codec": "mpeg2video", "g": "12", "bf": "2"},
    "h264.ts": {"codec": "libx264", "g": "12", "bf": "2"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "raw.h264": {"codec": "libx264", "g": "12"},
}
