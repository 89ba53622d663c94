"""musicnn in an environment of its own: slices in, vectors out, a line of JSON each.

This file is run by another interpreter, in which numpy, librosa, TensorFlow and musicnn are installed; nothing of this package
is imported here, and nothing in this package imports it (musicnn.py starts it). First it says `{"ready": true, "dimensions":
200}`. A question is `{"shape": [S, n], "samples": ...}`, base64 of little-endian float32 at 16 kHz, n as for `PATCH_FRAMES`
frames of log-mel without padding; the answer `{"shape": [S, 200], "vectors": ...}` likewise, or `{"error": ...}`.

What musicnn is given (Pons and Serra, arXiv 1909.06654, section 2) is log10(1 + 10000 x mel power), 96 bands. Deviation from
its extractor: that casts the mel power to float16 before it multiplies, where all above 6.5 becomes infinite, and what comes
out of the network then hardly depends on the music; here all is float32.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import librosa
import musicnn
import numpy as np
import tensorflow
from musicnn import configuration, models

MODEL = "MSD_musicnn"
PATCH_FRAMES = 187  # 3 s, which it was trained on
N_TAGS = 50

tf: Any = tensorflow.compat.v1


def log_mel(samples: Any) -> Any:
    """(S, n) -> (S, 187, 96)."""
    settings = {"sr": configuration.SR, "n_fft": configuration.FFT_SIZE, "hop_length": configuration.FFT_HOP}
    power = librosa.feature.melspectrogram(y=samples, n_mels=configuration.N_MELS, center=False, **settings)
    return np.log10(1 + 10000 * power.astype(np.float32)).transpose(0, 2, 1)


class Network:
    """The graph and its weights; the penultimate layer is read."""

    def __init__(self) -> None:
        tf.disable_eager_execution()
        self.given = tf.placeholder(tensorflow.float32, [None, PATCH_FRAMES, configuration.N_MELS])
        self.training = tf.placeholder(tensorflow.bool)
        with tf.variable_scope("", reuse=False), tf.name_scope("model"):
            *_, self.penultimate = models.define_model(self.given, self.training, MODEL, N_TAGS)
        self.session = tf.Session()
        tf.train.Saver().restore(self.session, str(Path(musicnn.__file__).parent / MODEL) + "/")

    def __call__(self, samples: Any) -> Any:
        """(S, n) -> (S, 200)."""
        return self.session.run(self.penultimate, {self.given: log_mel(samples), self.training: False})


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not an answer

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=out, flush=True)

    network = Network()
    say({"ready": True, "dimensions": int(network.penultimate.shape[1])})
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            samples = np.frombuffer(base64.b64decode(asked["samples"]), "<f4").reshape(asked["shape"])
            vectors = np.asarray(network(samples), "<f4")
        except Exception as error:  # one track must not end the rest
            say({"error": f"{type(error).__name__}: {error}"})
        else:
            say({"shape": vectors.shape, "vectors": base64.b64encode(vectors.tobytes()).decode()})


if __name__ == "__main__":
    main()
