"""The SDK's own tracking app with a toy tracker, `supervisely_app.py HOST`: prints its port as JSON and serves."""

import json
import os
import socket
import sys
import tempfile

sys.path.pop(0)


def main(host):
    os.environ.update(SERVER_ADDRESS=host, API_TOKEN="x" * 128)
    os.chdir(tempfile.mkdtemp())

    import numpy as np
    import uvicorn
    from supervisely.nn.inference.tracking.bbox_tracking import BBoxTracking
    from supervisely.nn.prediction_dto import PredictionBBox

    class Toy(BBoxTracking):
        def load_on_device(self, model_dir, device="cpu"):
            pass

        def initialize(self, image, target):
            self.box = np.array(target.bbox_tlbr, float)

        def predict(self, rgb_image, settings, prev_rgb_image, target_bbox):
            self.box = self.box + np.array([0, 4, 0, 4])
            return PredictionBBox("", self.box.tolist(), 0.9)

    model = Toy(model_dir="model")
    model.serve()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    uvicorn.Server(uvicorn.Config(model.app, log_level="critical")).run(sockets=[listener])


main(*sys.argv[1:])
