"""Association of detections over frames: one file a method, found by itself.

A method is a frozen dataclass of settings (`rules.CommonSettings` is its base) and the `rules.Rules` that follow from them;
`engine` does the work, out of `parts/`. `appearance` adds camera motion and re-identification, `mend` what can be mended
once all of a video has been tracked.
"""
