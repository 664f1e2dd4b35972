"""Dataloop's own runner on the files of `vtlab serve --scaffold dataloop`: `dataloop_service.py FOLDER TOKEN`; mock.json is
in the folder. It is logged in nowhere; the token is what a session would have."""

import json
import os
import sys

sys.path.pop(0)

import dtlpy as dl

folder, token = sys.argv[1:]
os.chdir(folder)
dl.token = lambda: token
found = dl.packages.test_local_package(
    cwd=folder,
    concurrency=1,
    module_name="default_module",
    function_name="run",
    class_name="ServiceRunner",
    entry_point="main.py",
    mock_file_path="mock.json",
)
print(json.dumps(found))
