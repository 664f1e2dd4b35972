"""The client of Supervisely's SDK asks a tracking app, `supervisely_client.py URL HOST`: what the app says of itself,
and every geometry of its rows as the SDK reads it."""

import json
import sys

sys.path.pop(0)

import requests
import supervisely as sly
from supervisely.nn.model.model_api import ModelAPI

url, fake = sys.argv[1:]
model = ModelAPI(url=url)
info = model.get_info()
geometries = json.loads(sys.stdin.read())
read = {}
for kind, geometry in geometries.items():
    context = {
        "videoId": 77,
        "frameIndex": 3,
        "frames": 3,
        "input_geometries": [{"type": kind, "data": geometry}],
    }
    body = {"state": {}, "context": context, "server_address": fake, "api_token": "x" * 64}
    answer = requests.post(f"{url}/track-api", json=body, timeout=60)
    answer.raise_for_status()
    read[kind] = [
        type(sly.deserialize_geometry(entry["type"], entry["data"])).__name__ for (entry,) in answer.json()
    ]
print(json.dumps({"info": info, "settings": model.get_settings(), "read": read}))
