"""The SDK's own service for legacy apps runs `--scaffold supervisely-legacy`: `supervisely_legacy.py FOLDER URL`.

It gets three `track` commands as the platform's agent hands them over, the second of a figure that isn't there, the third of
no frames."""

import importlib.util
import json
import os
import sys

sys.path.pop(0)

folder, host = sys.argv[1:]
os.environ.update(SERVER_ADDRESS=host, API_TOKEN="x" * 128, AGENT_TOKEN="agent", TASK_ID="1")
os.environ.update(DEBUG_APP_DIR=f"{folder}/app", DEBUG_CACHE_DIR=f"{folder}/cache", VTLAB_ALLOW_PRIVATE="1")

spec = importlib.util.spec_from_file_location("legacy_app", f"{folder}/main.py")
module = sys.modules["legacy_app"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
context = {"videoId": 77, "figureIds": [501], "objectIds": [601], "frameIndex": 3, "frames": 4}
context |= {"direction": "forward", "trackId": "L1"}
for figure, frames in ((501, 4), (999, 4), (501, 0)):
    context |= {"figureIds": [figure], "frames": frames}
    message = {"command": "track", "context": dict(context), "state": {}, "api_token": "x" * 128}
    module.app.handle_message_sync({**message, "user_api_key": "x" * 128, "server_address": host})
print(json.dumps({"callbacks": sorted(module.app.callbacks)}))
