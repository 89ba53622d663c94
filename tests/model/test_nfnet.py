"""SF-NFNet-F0: equal to the published network, number for number; and what training adds to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfield.catalogue.encoder import load_model
from nearfield.errors import ModelError
from nearfield.model.embedder import Embedder, EmbedderConfig, ProjectorConfig, standardise
from nearfield.model.export import export_embedder
from nearfield.model.nfnet import NfnetConfig, NfnetEncoder
from nearfield.sound.mel import log_mel
from nearfield.train.watch import slice_embedding
from oracles.published import Array, published_arrays

GOLDEN = Path(__file__).parent.parent / "golden"
SMALL = NfnetConfig(
    slow_stem=(4, 4, 4, 8),
    fast_stem=(2, 2, 2, 4),
    slow_channels=(16, 16, 32, 32),
    fast_channels=(8, 8, 8, 8),
    fused_channels=(4, 4, 4, 4),
    expanded_channels=(8, 8, 8, 8),
    blocks=(1, 1, 2, 1),
    slow_group=8,
    fast_group=4,
)


def as_torch(role: str, array: Array) -> torch.Tensor:
    """Keras order to torch's: kernels (height, width, in, out), dense (in, out), gains (out,)."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    elif role.endswith(".gain"):
        array = array.reshape(-1, 1, 1, 1)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


@pytest.fixture(scope="module")
def published() -> NfnetEncoder:
    encoder = NfnetEncoder(NfnetConfig()).eval()
    encoder.load_state_dict({role: as_torch(role, array) for role, _, array in published_arrays()})
    return encoder


def test_it_has_the_published_size(published: NfnetEncoder) -> None:
    assert sum(p.numel() for p in published.parameters()) == 62_345_742
    assert NfnetConfig().dimensions == 1728


def test_it_answers_as_the_published_network(published: NfnetEncoder) -> None:
    golden = np.load(GOLDEN / "reference.npz")
    with torch.no_grad():
        given = published(torch.from_numpy(golden["input"])).numpy()
    assert np.abs(given - golden["output"]).max() <= 1e-5 * np.abs(golden["output"]).max()


def test_from_waveform_to_embedding_it_is_the_published_pipeline(published: NfnetEncoder) -> None:
    golden = np.load(GOLDEN / "pipeline.npz")
    mel = log_mel(golden["waveform"])
    slices = np.stack([mel[:, c - 150 : c + 150] for c in golden["centres"]])
    with torch.no_grad():
        given = published(standardise(torch.from_numpy(slices))).numpy()
    assert given.shape == (4, 1728)
    assert np.abs(given - golden["embedding"]).max() <= 1e-4 * np.abs(golden["embedding"]).max()


def small(config: NfnetConfig = SMALL) -> NfnetEncoder:
    torch.manual_seed(0)
    encoder = NfnetEncoder(config)
    for name, parameter in encoder.named_parameters():
        if name.endswith("skip_gain"):
            torch.nn.init.constant_(parameter, 0.5)  # so that every branch counts
    return encoder


def test_recomputing_activations_changes_no_gradient() -> None:
    x = torch.randn(3, 96, 300, generator=torch.Generator().manual_seed(1))
    gradients = []
    for recompute in (False, True):
        encoder = small(replace(SMALL, recompute=recompute, drop_path=0.0))
        encoder(x).square().sum().backward()
        gradients.append({n: p.grad for n, p in encoder.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-5, atol=1e-6), name


def test_stochastic_depth_leaves_out_branches_in_training_alone() -> None:
    encoder = small(replace(SMALL, drop_path=0.5))
    drops = [m.drop for m in encoder.slow.modules() if hasattr(m, "skip_gain")]
    assert drops == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5])
    x = torch.randn(8, 96, 300, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.manual_seed(2)
        one, other = encoder(x), encoder(x)
        assert (one - other).abs().max() > 1e-3
        encoder.eval()
        assert torch.equal(encoder(x), encoder(x))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"slow_stem": (4, 8)}, "a stem has 4 convolutions"),
        ({"blocks": (1, 1)}, "must be of one length"),
        ({"slow_group": 5}, "half of each of slow_channels"),
        ({"drop_path": 1.0}, "drop_path must be in 0..1"),
        ({"kind": "compact"}, "kind must be 'nfnet'"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(SMALL, **change)  # type: ignore[arg-type]


def embedder(**changes: object) -> Embedder:
    """A small one whose blocks are often left out while training."""
    config = EmbedderConfig(encoder=replace(SMALL, drop_path=0.9), projector=ProjectorConfig((16,), 8))
    whole = Embedder(replace(config, **changes))  # type: ignore[arg-type]
    whole.encoder = small(replace(SMALL, drop_path=0.9))
    return whole


SLICES = np.random.default_rng(1).uniform(0, 6, (6, 96, 300)).astype(np.float32)


def test_an_embedder_scales_both_paths_and_its_projector_trains() -> None:
    whole = embedder()
    with torch.no_grad():
        slow, fast = whole(torch.from_numpy(SLICES)).split([32, 8], dim=1)
    for part in (slow, fast):
        assert torch.allclose(part.norm(dim=1), torch.ones(6), atol=1e-5)
    projected = whole.project(torch.from_numpy(SLICES))
    assert projected.shape == (6, 8)
    projected.square().sum().backward()
    assert all(p.grad is not None for p in whole.parameters())


def test_what_is_not_mapped_is_the_encoders_output() -> None:
    whole = embedder(mapped=False, projector=None).eval()
    x = torch.from_numpy(SLICES)
    with torch.no_grad():
        assert torch.equal(whole(x), whole.encoder(standardise(x)))
    assert not any(name.startswith(("centre", "whitener", "projector")) for name in whole.state_dict())
    with pytest.raises(ModelError, match="without a projector"):
        whole.project(x)
    with pytest.raises(ValueError, match="the texture keeps fewer numbers"):
        EmbedderConfig(mapped=False)


def test_embedding_slices_leaves_no_block_out_and_training_goes_on() -> None:
    whole = embedder()
    assert np.array_equal(slice_embedding(whole, bf16=False)(SLICES), slice_embedding(whole, bf16=False)(SLICES))
    assert all(m.training for m in whole.modules())
    whole.eval()
    slice_embedding(whole)(SLICES)
    assert not whole.training


def test_it_is_exported_from_the_midst_of_training(tmp_path: Path) -> None:
    whole = embedder()
    made = export_embedder(whole, tmp_path / "m.onnx", "small", "x", {})
    assert (made.dimensions, whole.training) == (40, True)
    given = load_model(made.path).embed_slices(SLICES)
    assert np.abs(given - slice_embedding(whole, bf16=False)(SLICES)).max() < 1e-4
