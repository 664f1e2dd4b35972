"""Folders and lists of images as a video: stills, and files that hold more than one picture (GIF, APNG, TIFF, ...).

One reader, Pillow, tells size, orientation, number of pictures and pixels. Pictures are turned upright as their EXIF
data say. Transparency is left out: the colours are those stored. Of 16 bits the upper 8 are used; grey is spread over
the three colours; CMYK and palettes are converted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vtlab.errors import VideoError, VtlabError, VtlabWarning
from vtlab.files import BoundedFile, file_digest
from vtlab.video.base import BACKWARD_BYTES, FloatArray, FrameSource, Image, Stamp, usual_rate
from vtlab.video.forks import Forked, keep_for_ever

MOST_PIXELS = 1 << 27
"""Of a picture: more than 16K video has."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF", "AVIF")
"""Formats of Pillow that are opened (JPEG has MPO with it), whatever a file is called: others start programs (EPS)."""

_SINGLE = "MPO"
"""Format whose further pictures are no frames: a camera's previews and depth maps beside its photograph."""

_NO_DELAY = 0.1
"""Seconds that a picture of an animation stays which names none, as browsers have it."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One picture of a file."""

    path: Path
    number: int


class ImageSource(FrameSource, Forked):
    """Image files, one picture a frame, or all pictures of files that hold several.

    Args:
        paths: The files, in order.
        source: Where they come from, for messages.
        name: Of the video.
        fps: Frames per second; None = an animation's own times, else `default`.
        default: Frames per second of what has no times.
    """

    def __init__(self, paths: Sequence[Path], source: str, name: str, *, fps: float | None, default: float):
        self.source, self.name = source, name
        self._paths = [Path(os.path.abspath(path)) for path in paths]
        self._stamps = {path: Stamp(str(path)) for path in self._paths}
        found = [_look(path) for path in self._paths]
        self.width, self.height = found[0][0]
        _same_sizes(source, self._paths, [size for size, _ in found])
        pages = [numbers for _, numbers in found]
        _say_mixed(source, self._paths, [len(numbers) for numbers in pages])
        self._pages = [_Page(p, n) for p, numbers in zip(self._paths, pages, strict=True) for n in numbers]
        times = _delays(self._pages) if fps is None and len(self._pages) > len(self._paths) == 1 else None
        self.timestamps = np.arange(len(self._pages)) / (fps or default) if times is None else times
        self.fps = fps or (None if times is None else usual_rate(times)) or default
        self._prepare()

    def _prepare(self) -> None:
        """Make what belongs to one process."""
        self._lock = threading.Lock()
        self._open: tuple[Path, _Picture] | None = None
        self.watch_forks()

    def after_fork(self) -> None:
        """See `Forked`: the parent reads on at another place of the same open file, maybe with threads (AVIF)."""
        keep_for_ever(self._open)
        self._prepare()

    def __del__(self) -> None:
        if "_open" in self.__dict__:
            self._release()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def get(self, index: int) -> Image:
        """See `FrameSource`."""
        page = self._pages[index]
        if len(self._pages) == len(self._paths):
            with open_picture(page.path) as picture:
                return self._pixels(picture, index)
        with self._lock:
            if self._open is None or self._open[0] != page.path or self._open[1].pixels.tell() > page.number:
                self._release()  # going back, the file is opened anew: Pillow loses its place in some APNG files
                self._open = (page.path, _Picture(page.path, page.path))
            return self._pixels(self._open[1].pixels, index)

    def read(self, indices: range) -> Iterator[Image]:
        """See `FrameSource`: an animation is read forward, in bounded pieces, also where the frames go back."""
        if len(self._pages) == len(self._paths) or not indices:
            yield from super().read(indices)
            return
        own = self.__class__.__new__(self.__class__)  # a place of its own in the file
        own.__setstate__(self.__getstate__())
        try:
            size = 1 if indices.step > 0 else max(1, BACKWARD_BYTES // (3 * self.width * self.height))
            for start in range(0, len(indices), size):
                held = [own.get(index) for index in sorted(indices[start : start + size])]
                while held:
                    yield held.pop()
        finally:
            own.close()

    def close(self) -> None:
        """See `FrameSource`."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _pixels(self, picture: Any, index: int) -> Image:
        page = self._pages[index]
        self._stamps[page.path].check()
        where = f"The image {str(page.path)!r} (frame {index})"
        with _damage(where):
            if page.number != picture.tell():
                picture.seek(page.number)
            image = _rgb(picture, where)
        if image.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"{where} has {image.shape[1]}x{image.shape[0]} pixels, the first one {self.width}x{self.height}. "
                "Remedy: give images of one size only, or resize them."
            )
        return image

    def digest(self) -> str:
        """See `FrameSource`."""
        total = hashlib.sha256()
        for path in self._paths:
            self._stamps[path].check()
            total.update(bytes.fromhex(file_digest(path)))
        return "sha256:" + total.hexdigest()


def check_picture(file: Path | BinaryIO, where: object) -> tuple[int, int]:
    """Width and height of an image as shown (turned upright), read from its header.

    Raises:
        VideoError: It is no image, or has more pixels than are unpacked.
    """
    with open_picture(file, where) as picture:
        return _upright(picture)


def _look(path: Path) -> tuple[tuple[int, int], list[int]]:
    """Size as shown of a file's first picture, and the numbers of its pictures that are frames."""
    with open_picture(path) as picture:
        _check_mode(picture, str(path))
        size, count = _upright(picture), getattr(picture, "n_frames", 1)
        if count == 1 or picture.format == _SINGLE:
            return size, [0]
        if picture.format == "TIFF":
            return size, [n for n in range(count) if _is_page(picture, n, size)]
        return size, list(
            range(1 if picture.info.get("default_image") else 0, count)
        )  # of APNG: for old readers


def _is_page(picture: Any, number: int, size: tuple[int, int]) -> bool:
    """Whether a TIFF's directory is a picture of its own: no smaller copy of another one, no transparency mask."""
    picture.seek(number)
    # NewSubfileType (TIFF 6.0): bit 0 is a smaller copy, bit 2 a transparency mask.
    if picture.tag_v2.get(254, 0) & 0b101:
        return False
    if _upright(picture) != size:
        raise VideoError(
            f"The pictures in {picture.filename!r} have mixed sizes: the first has {size[0]}x{size[1]}, number "
            f"{number} has {_upright(picture)} (width, height). Remedy: save those of one size into one file."
        )
    return True


def _upright(picture: Any) -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if _orientation(picture) >= 5 else (width, height)


def _orientation(picture: Any) -> int:
    """Number of EXIF's eight orientations, 1 = upright (also of TIFF, which Pillow turns itself)."""
    from PIL import Image as Pillow

    if picture.format == "TIFF":
        return 1
    early = picture.format == "PNG" and picture.filename and not _tells_late(picture.filename)
    # Pillow decodes a PNG to see whether data on it come after the pixels
    exif = Pillow.Image.getexif(picture) if early else picture.getexif()
    value = exif.get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tells_late(path: str) -> bool:
    """Whether a PNG has EXIF or text chunks behind its pixels (PNG, third edition, 5.6)."""
    pixels = False
    with open(path, "rb") as file:
        # 8 bytes of signature; each chunk has length, name, data and 4 bytes of checksum.
        file.seek(8)
        while len(head := file.read(8)) == 8:
            kind = head[4:]
            pixels = pixels or kind == b"IDAT"
            if pixels and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return False


def _check_mode(picture: Any, where: str) -> None:
    """Refuse values that are no brightness of a known range."""
    if picture.mode in ("F", "I"):
        kind = "floating-point" if picture.mode == "F" else "32-bit"
        raise VideoError(
            f"{where} holds {kind} values, of which nobody can tell what is black and what white. Remedy: scale them "
            "to 0..255 and save 8 bits, or give an array (N, H, W, 3) of uint8."
        )


def _rgb(picture: Any, where: str) -> Image:
    """The current picture upright as RGB (H, W, 3), uint8, in memory of its own."""
    _check_mode(picture, where)
    turns = _orientation(picture)
    picture.load()
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        image = np.repeat(grey[:, :, None], 3, axis=2)
    else:
        image = np.array(picture if picture.mode == "RGB" else _converted(picture, where))
    if turns >= 5:
        image = image.swapaxes(0, 1)
    # EXIF's table: 5 to 8 have rows and columns swapped, which is undone first.
    across, down = turns in (2, 3, 6, 7), turns in (3, 4, 7, 8)
    image = image[:: -1 if down else 1, :: -1 if across else 1]
    return np.ascontiguousarray(image)


def _converted(picture: Any, where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of palettes with transparency, which is left out as everywhere
            return picture.convert("RGB")
    except ValueError as error:
        raise VideoError(
            f"{where} has colours of kind {picture.mode}, which can't be converted to RGB. Remedy: save it as RGB."
        ) from error


class _Picture:
    """An image opened by Pillow, unless it has more pixels than are unpacked.

    Attributes:
        pixels: Pillow's image.
    """

    def __init__(self, file: Path | BinaryIO, where: object):
        self._file: BinaryIO | BoundedFile = _opened(file, where) if isinstance(file, Path) else file
        try:
            self.pixels = _known(self._file, where)
            if isinstance(file, Path):
                self.pixels.filename = str(file)
            width, height = self.pixels.size
            if width * height > MOST_PIXELS:
                raise VideoError(
                    f"{where}: {width} x {height} px, at most {MOST_PIXELS} are unpacked. Remedy: resize it."
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close image and file; may be called twice."""
        if "pixels" in self.__dict__:
            self.pixels.close()
        self._file.close()


def _opened(path: Path, where: object) -> BoundedFile:
    try:
        return BoundedFile(path)
    except OSError as error:
        raise VideoError(
            f"{str(where)!r} is not a readable image: {error}. Remedy: replace or remove it."
        ) from error


def _known(file: BinaryIO | BoundedFile, where: object) -> Any:
    """Pillow's image of a format that is opened here."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            Pillow.init()
            return Pillow.open(
                file, formats=[f for f in _FORMATS if f in Pillow.OPEN]
            )  # AVIF is new in Pillow
    except UnidentifiedImageError as error:
        raise VideoError(
            f"{str(where)!r} is not a readable image: unknown, damaged, or of a kind that Pillow can't read (such as "
            "colours in floating point). Remedy: save it as 8-bit PNG or JPEG, or remove it."
        ) from error
    except Exception as error:  # Pillow's plug-ins raise whatever a damaged header makes them
        raise VideoError(
            f"{str(where)!r} is not a readable image: {error}. Remedy: replace or remove it."
        ) from error


@contextlib.contextmanager
def open_picture(file: Path | BinaryIO, where: object = None) -> Iterator[Any]:
    """Pillow's image of a file that may be damaged or hostile; raises `VideoError` for whatever goes wrong with it."""
    picture = _Picture(file, where or file)
    try:
        with _damage(f"The image {str(where or file)!r}"):
            yield picture.pixels
    finally:
        picture.close()


def read_picture(file: Path | BinaryIO, where: object = None) -> Image:
    """The first picture of an image file, upright, as RGB (H, W, 3) uint8; raises as `open_picture` does."""
    with open_picture(file, where) as picture:
        return _rgb(picture, str(where or file))


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """Whatever Pillow's plug-ins raise on damaged data, as one error that names the image."""
    try:
        yield
    except VtlabError:
        raise
    except Exception as error:
        raise VideoError(f"{where} is damaged: {error}. Remedy: replace or remove it.") from error


def _delays(pages: Sequence[_Page]) -> FloatArray | None:
    """Seconds at which the pictures of an animation come, which takes decoding it once; None without any."""
    if not pages:
        return None
    with open_picture(pages[0].path) as picture:
        if picture.format == "TIFF":
            return None
        held = []
        for page in pages[:-1]:
            picture.seek(page.number)
            picture.load()
            held.append((picture.info.get("duration") or 0) / 1000 or _NO_DELAY)
    return np.concatenate([[0.0], np.cumsum(held)])


def _same_sizes(source: str, paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> None:
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise VideoError(
                f"The images of {source!r} have mixed sizes: {paths[0].name} has "
                f"{sizes[0][0]}x{sizes[0][1]}, {path.name} has {size[0]}x{size[1]} (width x height). "
                "Remedy: give images of one size only, e.g. by a glob, or resize them."
            )


def _say_mixed(source: str, paths: Sequence[Path], counts: Sequence[int]) -> None:
    """Say where among single pictures a file holds several, since all that follow move on."""
    if min(counts) == 1 < max(counts):
        several = paths[int(np.argmax(counts))]
        warnings.warn(
            f"{source!r} mixes files of one picture with files of several: {several.name} holds {max(counts)}, all "
            "of them are frames. Remedy: give the ones without the others, by a glob or a list.",
            VtlabWarning,
            stacklevel=6,
        )
