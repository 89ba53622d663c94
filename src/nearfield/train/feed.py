"""Batches for the loop: assembled one step ahead in a thread, then augmented."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearfield.augment.colour import Colour, colour
from nearfield.augment.equalise import Equalise, equalise
from nearfield.augment.gain import Gain, gain
from nearfield.augment.linear import shifted_log_mel
from nearfield.augment.mask import Mask, mask
from nearfield.augment.mix import Mix, mix
from nearfield.augment.pitch_shift import PitchShift, pitch_shift
from nearfield.augment.random_resized_crop import RandomResizedCrop, random_resized_crop
from nearfield.augment.time_stretch import TimeStretch, time_stretch
from nearfield.data.pairs import MixedPairs
from nearfield.sound.mel import MelConfig


@dataclass(frozen=True)
class Augment:
    """What is changed in the views, in this order (a pitch shift from spectra comes first); None leaves a step out."""

    time_stretch: TimeStretch | None = None
    pitch_shift: PitchShift | None = None
    equalise: Equalise | None = None
    gain: Gain | None = None
    mix: Mix | None = None
    colour: Colour | None = None
    random_resized_crop: RandomResizedCrop | None = None
    mask: Mask | None = None

    def source_frames(self, slice_frames: int) -> int:
        """How many frames to cut from a track, so that every change finds enough."""
        return slice_frames if self.time_stretch is None else self.time_stretch.source_frames(slice_frames)

    @property
    def from_spectra(self) -> bool:
        """Whether slices are made of spectra instead of log-mels."""
        return self.pitch_shift is not None and self.pitch_shift.from_spectra


def batches(stream: MixedPairs, first_step: int, steps: int) -> Iterator[Tensor]:
    """Sources for each step from `first_step` on, anchors before positives: (2B, S, M) float32 or (2B, S, K) float16."""
    if first_step >= steps:
        return
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(_source, stream, first_step)
        for step in range(first_step, steps):
            source = coming.result()
            if step + 1 < steps:
                coming = ahead.submit(_source, stream, step + 1)
            yield source


def _source(stream: MixedPairs, step: int) -> Tensor:
    frames = stream.batch(step).frames
    # converted by numpy: a torch operation in this thread would start a second crew of workers, to fight for the cores
    kept = np.float16 if stream.spectra else np.float32  # spectra are large, and become float32 block by block
    return torch.from_numpy(frames.reshape(-1, *frames.shape[2:]).astype(kept, copy=False))


def views(
    source: Tensor,
    augment: Augment,
    slice_frames: int,
    mel: MelConfig,
    seed: int,
    step: int,
    own: Tensor | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """(2B, S, M) sources -> (2B, M, T) slices on `device`, augmented with parameters drawn from (seed, step).

    With `augment.from_spectra` the sources are (2B, S, K) amplitude spectra.

    `own` (N,) asks for some of the views only, which gives (N, M, T). Parameters are drawn for all, so that a view is the
    same whoever makes it; sources that `mix` lays behind the own ones are changed with them, then left out.
    """
    B = len(source) // 2
    own = torch.arange(2 * B) if own is None else own
    device = source.device if device is None else device
    mixed = None if augment.mix is None else _mixed(own, *augment.mix.draw(B, np.random.default_rng([seed, 4, step])))
    made = own if mixed is None else mixed.made
    semitones = torch.zeros(0)
    if augment.pitch_shift is not None:
        semitones = augment.pitch_shift.draw(B, np.random.default_rng([seed, 5, step]))[made].to(device)
    cut = source[made.to(source.device)].to(device)
    log_mel = shifted_log_mel(cut, semitones, mel) if augment.from_spectra else cut.transpose(1, 2)
    if augment.time_stretch is not None:
        ratios = augment.time_stretch.draw(B, np.random.default_rng([seed, 3, step]))
        log_mel = time_stretch(log_mel, ratios.flatten()[made].to(device), slice_frames)
    if augment.pitch_shift is not None and not augment.from_spectra:
        log_mel = pitch_shift(log_mel, semitones, mel)
    if augment.equalise is not None:
        gain_db = augment.equalise.draw(B, np.random.default_rng([seed, 6, step]), mel)
        log_mel = equalise(log_mel, gain_db[made].to(device))
    if augment.gain is not None:
        level_db = augment.gain.draw(B, np.random.default_rng([seed, 7, step]))
        log_mel = gain(log_mel, level_db[made].to(device))
    if mixed is not None:
        log_mel = mix(log_mel, mixed.share.to(device), mixed.behind.to(device))[: len(own)]
    if augment.colour is not None:
        colours = augment.colour.draw(B, np.random.default_rng([seed, 12, step]), mel)
        log_mel = colour(log_mel, colours.of(own).to(device))
    if augment.random_resized_crop is not None:
        crops = augment.random_resized_crop.draw(B, np.random.default_rng([seed, 8, step]), *log_mel.shape[1:])
        log_mel = random_resized_crop(log_mel, crops.of(own).to(device))
    if augment.mask is not None:
        hidden = augment.mask.draw(B, np.random.default_rng([seed, 9, step]), *log_mel.shape[1:])
        log_mel = mask(log_mel, hidden[own].to(device))
    return log_mel


@dataclass(frozen=True)
class _Mixed:
    """`made` (K,): the views asked for, then those that lie behind them; `share` and `behind` (K,) are of these K."""

    made: Tensor
    share: Tensor
    behind: Tensor


def _mixed(own: Tensor, share: Tensor, behind: Tensor) -> _Mixed:
    needed = behind[own][share[own] > 0]
    made = torch.cat([own, torch.unique(needed[~torch.isin(needed, own)])])
    place = torch.zeros_like(behind)  # what is not made is behind nothing: a share of 0 leaves a view as it is
    place[made] = torch.arange(len(made))
    asked = torch.arange(len(made)) < len(own)
    return _Mixed(made, torch.where(asked, share[made], 0.0), place[behind[made]])
