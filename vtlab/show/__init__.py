"""Pictures: overlays, plots, pages. Takes data, measures nothing."""
