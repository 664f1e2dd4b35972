"""Doors through which annotation tools drive vtlab's trackers.

`jobs` runs trackings asked for from outside, `guard` keeps what must not come in or go out, and each host has one door
over both: `supervisely`, `dataloop`, `cvat`, `label_studio`, `vot`, and `http` for those without a platform. A door says
what a request means and knows nothing of the web; `web` alone knows Starlette, which the extra `serve` brings.
"""
