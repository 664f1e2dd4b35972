"""The engine of experiments: keys by content (`keys`), the store of results (`store`), who works on what (`claims`), one
task in a guarded process (`task`, `guard`), the loop over all of them (`loop`), and dask (`cluster`)."""
