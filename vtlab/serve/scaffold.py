"""Files to deploy for hosts that run a tracker's code themselves, ready to push."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vtlab
from vtlab.errors import InputError, near
from vtlab.files import write_whole
from vtlab.registry import TRACKERS

_DATALOOP = '''"""A tracker of vtlab's as Dataloop's custom AI tracker."""

import dtlpy
from vtlab.serve.dataloop import Tracker


class ServiceRunner(dtlpy.BaseServiceRunner):
    """What the platform runs."""

    def __init__(self, **kwargs):
        self._tracker = Tracker({tracker!r})

    def run(self, dl, item_stream_url, bbs, start_frame, frame_duration=60, progress=None):
        """Track boxes: {{annotation id: {{frame: [top left, bottom right]}}}}. The platform gives None as `dl`."""
        client = dtlpy if dl is None else dl
        return self._tracker.run(client, item_stream_url, bbs, start_frame, frame_duration, progress)
'''
_DEPLOY = '''"""Push the package and deploy the service; needs `dtlpy login` before."""

import json
import sys

import dtlpy as dl

project = dl.projects.get(project_name=sys.argv[1])
with open("package.json") as file:
    modules = [dl.PackageModule.from_json(entry) for entry in json.load(file)["modules"]]
package = project.packages.push(package_name="vtlab-tracker", modules=modules, src_path=".")
with open("service.json") as file:
    service = package.deploy(**json.load(file))
settings = {"serviceName": service.name, "projectId": project.id, "maxAnnotations": 50}
print("In the recipe's metadata.system:", json.dumps({"trackerSettings": settings}))
'''
_LEGACY = '''"""A tracker of vtlab's as an app of Supervisely's SDK, for the annotation tool's `track` command."""

import os

import supervisely as sly
from supervisely.app.v1.app_service import AppService
from vtlab.errors import VtlabError
from vtlab.serve.follow import Core
from vtlab.serve.guard import Outward
from vtlab.serve.supervisely import Supervisely

app = AppService()
way = Outward((os.environ["SERVER_ADDRESS"],), private=os.environ.get("VTLAB_ALLOW_PRIVATE") == "1")
door = Supervisely(Core({trackers!r}), way)


@app.callback("track")
@sly.timeit
def track(api, task_id, context, state, app_logger):
    """Follow the figures of the context; what is found is written, errors are shown by the tool."""
    try:
        door.track_now(context, api.server_address, api.token)
    except VtlabError as error:  # the tool was told; an error that leaves this function ends the app
        app_logger.error(str(error))


if __name__ == "__main__":
    app.run()
'''
_CVAT = '''"""A tracker of vtlab's as a function of CVAT's agent."""

from vtlab.serve.cvat import Function

_function = Function({trackers!r})
spec = _function.spec
preprocess_image = _function.preprocess_image
init_tracking_state = _function.init_tracking_state
track = _function.track
'''
_DOCKER = """# This file was not built where it was written: its steps were run one by one in a plain environment.
# In a clone of vtlab:
#   docker build -t vtlab-serve -f FOLDER/Dockerfile .
#   docker run -p 8000:8000 -e VTLAB_SERVE_TOKEN=... vtlab-serve
FROM python:3.11-slim
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[serve]"
RUN useradd --create-home serve
USER serve
WORKDIR /home/serve
EXPOSE 8000
# No token stands here: give one, or read the one that is printed at the start.
CMD ["vtlab", "serve", "http", "--host", "0.0.0.0", {arguments}]
"""


def write_scaffold(name: str, folder: str | Path, trackers: Sequence[str]) -> list[Path]:
    """Write the files of a host into a folder.

    Args:
        name: dataloop, cvat-agent, vot, supervisely-legacy or docker.
        folder: Where to; it is made.
        trackers: Names of trackers; dataloop takes one.

    Raises:
        InputError: There is no such scaffold, or no tracker.
        RegistryError: There is no such tracker.
    """
    if name not in _MAKERS:
        raise InputError(f"There is no scaffold {name!r}. {near(name, _MAKERS)}")
    if not trackers or (name == "dataloop" and len(trackers) > 1):
        raise InputError(
            f"--scaffold {name} needs {'one tracker' if name == 'dataloop' else 'a tracker'}: -t csrt."
        )
    for tracker in trackers:
        if ".py:" in str(tracker):
            raise InputError(
                f"{tracker!r}: a file of this machine isn't deployed. Remedy: give a tracker's name."
            )
        TRACKERS.card(tracker)
    made: Mapping[str, str] = _MAKERS[name](tuple(trackers))
    return [write_whole(Path(folder, file), text) for file, text in made.items()]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _requirement(extra: str = "") -> str:
    return f"vtlab{extra}=={vtlab.__version__}\n"


def _dataloop(trackers: tuple[str, ...]) -> dict[str, str]:
    inputs = [  # the platform wants `dl` declared, and gives None
        {"name": n, "type": "Json"} for n in ("item_stream_url", "bbs", "start_frame", "frame_duration", "dl")
    ]
    function = {
        "name": "run",
        "description": "Track boxes",
        "input": inputs,
        "output": [],
        "displayIcon": "",
    }
    module = {
        "name": "default_module",
        "className": "ServiceRunner",
        "entryPoint": "main.py",
        "initInputs": [],
    }
    service = {
        "service_name": "vtlab-tracker",
        "runtime": {
            "concurrency": 10,
            "podType": "regular-s",
            "autoscaler": {"minReplicas": 1, "maxReplicas": 2},
        },
        # As Dataloop's own sample of a tracker is deployed.
        "execution_timeout": 60,
        "max_attempts": 1,
        "is_global": False,
    }
    return {
        "main.py": _DATALOOP.format(tracker=trackers[0]),
        "package.json": _json({"name": "vtlab-tracker", "modules": [{**module, "functions": [function]}]}),
        "service.json": _json(service),
        "requirements.txt": _requirement(),
        "deploy.py": _DEPLOY,
    }


def _legacy(trackers: tuple[str, ...]) -> dict[str, str]:
    config = {
        "main_script": "main.py",
        "name": "vtlab tracker",
        "type": "app",
        "version": "2.0.0",
        "categories": ["neural network", "videos", "detection & tracking", "serve"],
        "description": f"Tracks figures with {', '.join(trackers)}",
        "docker_image": "supervisely/base-py-sdk:6.74.51",
        "modal_template": "",
        "task_location": "application_sessions",
        "need_gpu": False,
        "isolate": True,
        "headless": True,
        "icon_background": "#FFFFFF",
        # By this tag the annotation tool finds apps that track.
        "session_tags": ["sly_video_tracking"],
        "community_agent": False,
    }
    main = _LEGACY.format(trackers=trackers)
    return {"config.json": _json(config), "main.py": main, "requirements.txt": _requirement()}


def _cvat(trackers: tuple[str, ...]) -> dict[str, str]:
    return {
        "func.py": _CVAT.format(trackers=trackers),
        "requirements.txt": _requirement() + "cvat-cli>=2.80\n",
    }


def _vot(trackers: tuple[str, ...]) -> dict[str, str]:
    entries = [
        f"[{name}]\nlabel = {name}\nprotocol = python\ncommand = vtlab.serve.classes:Vot\narg_tracker = {name}\n"
        for name in trackers
    ]
    return {"trackers.ini": "\n".join(entries)}


def _docker(trackers: tuple[str, ...]) -> dict[str, str]:
    arguments = ", ".join(json.dumps(text) for name in trackers for text in ("-t", name))
    return {"Dockerfile": _DOCKER.format(arguments=arguments)}


_MAKERS = {
    "dataloop": _dataloop,
    "cvat-agent": _cvat,
    "vot": _vot,
    "supervisely-legacy": _legacy,
    "docker": _docker,
}
