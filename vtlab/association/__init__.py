"""Association of detections over frames: one file a method, found by itself.

A method is a frozen dataclass of settings (`recipe.CommonSettings` is its base) and the `recipe.Recipe` that follows;
`engine` does the work, out of `parts/`. `appearance` adds camera motion and re-identification, `mend` what can be mended
once all of a video has been tracked.
"""
