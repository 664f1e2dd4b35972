"""Label Studio's SDK on tasks that vtlab wrote, `python label_studio.py FILE CONFIG`: whether it finds them valid, and every
figure as `extract_key_frames` fills them in."""

import json
import sys

sys.path.pop(0)

from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames
from label_studio_sdk.label_interface import LabelInterface

with open(sys.argv[1]) as file:
    (task,) = json.load(file)
interface = LabelInterface(sys.argv[2])
entry = (task["annotations"] or task["predictions"])[0]
wrong = interface.validate_prediction(
    {"model_version": "vtlab", "result": entry["result"]}, return_errors=True
)
print(json.dumps({"wrong": wrong, "result": extract_key_frames(entry["result"])}))
