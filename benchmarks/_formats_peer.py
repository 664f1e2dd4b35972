"""Reading a file with somebody else's reader, in the environment of a judge.

`python _formats_peer.py READER PATH` prints the CPU seconds that it takes and its peak of memory in MiB.
"""

import json
import os
import resource
import sys
import time


def datumaro(path):
    import datumaro as dm

    folder = os.path.dirname(path)
    form, root = ("cvat", folder) if path.endswith(".xml") else ("mot_seq", os.path.dirname(folder))
    return lambda: dm.Dataset.import_from(root, form)


def dtlpy(path):
    import dtlpy as dl

    with open(path) as file:
        text = file.read()
    return lambda: dl.AnnotationCollection.from_json(json.loads(text), is_video=True)


def label_studio(path):
    from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames

    def read():
        with open(path) as file:
            (task,) = json.load(file)
        return extract_key_frames(task["annotations"][0]["result"])

    return read


def supervisely(path):
    import supervisely as sly

    root = os.path.dirname(os.path.dirname(os.path.dirname(path)))
    with open(os.path.join(root, "meta.json")) as file:
        meta = sly.ProjectMeta.from_json(json.load(file))
    return lambda: sly.VideoAnnotation.load_json_file(path, meta)


def trackeval(path):
    import trackeval as te

    root = os.path.dirname(os.path.dirname(os.path.dirname(path)))
    config = {"GT_FOLDER": root, "TRACKERS_FOLDER": root, "TRACKERS_TO_EVAL": [], "SKIP_SPLIT_FOL": True}
    config |= {"SEQ_INFO": {"walk": None}, "PRINT_CONFIG": False}
    dataset = te.datasets.MotChallenge2DBox(config)
    return lambda: dataset._load_raw_file("", "walk", is_gt=True)


def main():
    read = globals()[sys.argv[1]](sys.argv[2])
    begun = time.process_time()
    read()
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file has the names of packages
    main()
