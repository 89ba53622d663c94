"""Hand-made embeddings from the same log-mel slices: the baselines that a learned one must beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from nearfield.study.metrics import Vectors

MFCCS = 20


def mean_log_mel(log_mels: npt.NDArray[np.float32]) -> Vectors:
    """(S, M, T) -> (S, M): the average spectrum."""
    return np.asarray(log_mels.mean(axis=2))


def log_mel_statistics(log_mels: npt.NDArray[np.float32]) -> Vectors:
    """(S, M, T) -> (S, 2M): mean of each band over the slice, then deviation of each."""
    return np.concatenate([log_mels.mean(axis=2), log_mels.std(axis=2)], axis=1)


def mfcc_statistics(log_mels: npt.NDArray[np.float32]) -> Vectors:
    """(S, M, T) -> (S, 2 x 20): mean and deviation of MFCCs over the slice.

    The front end's compression is undone and decibels are taken, floored at 80 dB below the slice's peak as usual.
    """
    power = 10.0**log_mels - 1
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    decibel = np.maximum(decibel, decibel.max(axis=(1, 2), keepdims=True) - 80)
    mfcc = scipy.fft.dct(decibel, axis=1, norm="ortho")[:, :MFCCS]
    return np.concatenate([mfcc.mean(axis=2), mfcc.std(axis=2)], axis=1).astype(np.float32)


def standardised(vectors: Vectors) -> Vectors:
    """(..., D): each dimension to mean 0 and deviation 1 over all rows, as hand-made features need before a cosine."""
    flat = vectors.reshape(-1, vectors.shape[-1])
    return np.asarray((vectors - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-9))
