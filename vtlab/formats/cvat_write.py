"""Writer of CVAT for video XML 1.1."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from vtlab.formats.base import frame_count
from vtlab.formats.borders import row_runs, to_crop
from vtlab.formats.cvat_plan import Plan
from vtlab.formats.cvat_xml import GAP, PART
from vtlab.formats.ledger import column


class Writer(Plan):
    """Writes tracks as a plan says."""

    def write(self, out: TextIO, name: str) -> None:
        """Write all of it."""
        out.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        out.writelines(self._meta(name))
        manual, keyed = set(self.manual().tolist()), set(self.keyed().tolist())
        free = max(self.numbers.values(), default=0)
        for i, rows in self.rows():
            number = self.numbers[i]
            # `file`, a word of CVAT's, stands for a person who didn't say which figures are keys.
            source = "manual" if i in keyed else "file" if i in manual else "auto"
            masks = self.shapes[rows] == "mask"
            parts = self._parts(rows[~masks])
            group = f' group_id="{number}"' if self.is_group(rows) else ""
            head = f'label={quoteattr(self.names[i])} source="{source}"{group}'
            for n, part in enumerate(parts):
                free += n > 0
                mark = f'id="{free}" vtlab="{PART}"' if n else f'id="{number}"'
                out.writelines(self._track(f"{mark} {head}", part))
            for row in rows[masks].tolist():
                free += 1
                out.writelines(self._track(f'id="{free}" {head}', np.array([row])))
        out.write("</annotations>\n")

    def _parts(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Rows of one object by their kind of figure: CVAT can't open a track that has two kinds."""
        kinds = list(dict.fromkeys(self.shapes[rows].tolist()))
        return [rows[self.shapes[rows] == kind] for kind in kinds]

    def _track(self, head: str, rows: NDArray[np.int64]) -> Iterator[str]:
        if not len(rows):
            return
        yield f"  <track {head}>\n"
        frames = self.given.frame[rows].tolist()
        outside = column(self.given, "outside")
        last = frame_count(self.given) - 1
        for n, (row, frame) in enumerate(zip(rows.tolist(), frames, strict=True)):
            away = bool(outside[row]) or not self.given.visible[row]
            yield self._figure(row, frame, away)
            after = frames[n + 1] if n + 1 < len(frames) else last + 1
            # CVAT holds a figure until it is told otherwise: an outside one on the next frame ends the run.
            if after > frame + 1 and not away:
                yield self._figure(row, frame + 1, True, gap=True)
        yield "  </track>\n"

    def _figure(self, row: int, frame: int, outside: bool, gap: bool = False) -> str:
        """One element: the figure of a row, or what ends it."""
        tracks = self.given
        key = int(gap or bool(self.keyframes[row]))
        flags = f'outside="{int(outside)}" occluded="{int(column(tracks, "occluded")[row])}"'
        mark = f' vtlab="{GAP}"' if gap else ""
        head = f'frame="{self.start + frame * self.step}" keyframe="{key}"'
        tag, shape, inside = self._shape(row, key, outside)
        inside += self._values(row)
        flags = "" if tag == "skeleton" else f" {flags}"
        return f'    <{tag} {head}{flags}{shape}{mark} z_order="0">{inside}</{tag}>\n'

    def _shape(self, row: int, key: int, outside: bool) -> tuple[str, str, str]:
        """Element, what it says of the figure, and what is in it."""
        tracks, shape = self.given, self.shapes[row]
        if shape == "box":
            # CVAT writes two digits and reads any number: with all of them nothing is rounded.
            x1, y1, x2, y2 = tracks.boxes[row].tolist()
            # CVAT refuses a rotation that isn't from 0 to 360.
            angle = 0.0 if tracks.angle is None else float(np.rad2deg(tracks.angle[row])) % 360.0
            turn = f' rotation="{angle!r}"' if angle else ""
            return "box", f' xtl="{x1!r}" ytl="{y1!r}" xbr="{x2!r}" ybr="{y2!r}"{turn}', ""
        if shape == "outline" and tracks.polygons is not None:
            return "polygon", f' points="{_pairs(tracks.polygons[row][0])}"', ""
        mask = tracks.mask(row) if shape == "mask" else None
        if mask is not None:
            left, top, part = to_crop(mask)
            runs = ", ".join(map(str, row_runs(part)))
            height, width = part.shape
            return "mask", f' rle="{runs}" left="{left}" top="{top}" width="{width}" height="{height}"', ""
        return self._points(row, key, outside)

    def _points(self, row: int, key: int, outside: bool) -> tuple[str, str, str]:
        tracks = self.given
        frame, owner, p = int(tracks.frame[row]), int(tracks.object_id[row]), tracks.points
        low, high = np.searchsorted(p.frame, [frame, frame + 1])
        own = p.take(np.flatnonzero(p.object_id[low:high] == owner) + low)
        kind = self.kinds[owner]
        if kind != "skeleton":
            return kind, f' points="{_pairs(np.nan_to_num(own.xy))}"', ""
        parts = []
        for number, (x, y), seen in zip(
            own.point_id.tolist(), own.xy.tolist(), own.visible.tolist(), strict=True
        ):
            gone = x != x or y != y
            flags = f'keyframe="{key}" outside="{int(outside or gone)}" occluded="{int(not seen)}"'
            xy = "0.0,0.0" if gone else f"{x!r},{y!r}"
            parts.append(f'\n      <points label="{number}" {flags} points="{xy}"></points>')
        return kind, "", "".join(parts) + "\n    "

    def _values(self, row: int) -> str:
        """Attributes of a row and of its object."""
        owner, entry = int(self.given.object_id[row]), self.given.attributes
        told = self.tags(owner) | dict((entry[row] if entry is not None else None) or {})
        return "".join(
            f"<attribute name={quoteattr(n)}>{escape(_text(v))}</attribute>" for n, v in told.items()
        )

    def _meta(self, name: str) -> Iterator[str]:
        """What the file says of the task."""
        count = frame_count(self.given)
        step = "" if self.step == 1 else f"step={self.step}"
        stop = self.start + max(count - 1, 0) * self.step
        told = {
            "id": 0,
            "name": name,
            "size": count,
            "mode": "interpolation",
            "overlap": 0,
            "bugtracker": "",
            "created": "",
            "updated": "",
            "subset": "default",
            "start_frame": self.start,
            "stop_frame": stop,
            "frame_filter": step,
        }
        yield "  <meta>\n    <task>\n"
        yield "".join(f"      <{key}>{escape(str(value))}</{key}>\n" for key, value in told.items())
        yield "      <labels>\n"
        skeletons = self.skeletons()
        for label in dict.fromkeys(self.names.values()):
            points, lines = skeletons.get(label, ([], []))
            kind = "skeleton" if label in skeletons else "any"
            svg = f"<svg>{escape(_picture(points, lines))}</svg>" if points else ""
            yield _label(label, kind, self.attributes.get(label, {}), svg)
            for number in points:
                yield _label(str(number), "points", {}, f"<parent>{escape(label)}</parent>")
        yield "      </labels>\n"
        if self.given.size is not None:
            height, width = self.given.size
            yield f"      <original_size><width>{width}</width><height>{height}</height></original_size>\n"
        yield "    </task>\n    <dumped></dumped>\n  </meta>\n"


def _pairs(xy: Any) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in np.asarray(xy, np.float64).tolist())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _label(name: str, kind: str, attributes: Mapping[str, tuple[bool, str]], more: str) -> str:
    """A label of the task."""
    told = "".join(
        f"<attribute><name>{escape(n)}</name><mutable>{mutable}</mutable><input_type>{given_as}</input_type>"
        f"<default_value></default_value><values></values></attribute>"
        for n, (mutable, given_as) in attributes.items()
    )
    text = f"<name>{escape(name)}</name><color>#ff6037</color><type>{kind}</type>"
    return f"        <label>{text}<attributes>{told}</attributes>{more}</label>\n"


def _picture(points: list[int], lines: list[list[int]]) -> str:
    """A skeleton as CVAT draws it: its points on a circle, and lines between them."""
    at = {
        p: (50 + 40 * np.cos(n * 2 * np.pi / len(points)), 50 + 40 * np.sin(n * 2 * np.pi / len(points)))
        for n, p in enumerate(points)
    }
    node = {p: n for n, p in enumerate(points, start=1)}
    drawn = [
        f'<line x1="{at[a][0]:.1f}" y1="{at[a][1]:.1f}" x2="{at[b][0]:.1f}" y2="{at[b][1]:.1f}" data-type="edge" '
        f'data-node-from="{node[a]}" data-node-to="{node[b]}"></line>'
        for a, b in lines
        if a in at and b in at
    ]
    drawn += [
        f'<circle r="1.5" cx="{x:.1f}" cy="{y:.1f}" data-type="element node" data-element-id="{node[p]}" '
        f'data-node-id="{node[p]}" data-label-name="{p}"></circle>'
        for p, (x, y) in at.items()
    ]
    return "".join(drawn)
