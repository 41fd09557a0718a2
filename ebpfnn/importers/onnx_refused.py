"""Operators that no layer can do, by what they are: each is refused by its name before a graph is walked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_KINDS: Mapping[tuple[str, ...], str] = {
    ("LSTM", "GRU", "RNN"): "keeps a state from step to step, which no layer does; train a convolution over the steps (Conv1d)",
    (
        "Attention",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "RotaryEmbedding",
        "EmbedLayerNormalization",
        "QAttention",
    ): "weighs values by each other; train a convolution or dense layers",
    ("Einsum",): "multiplies values in a way of its own; use Linear or Conv2d",
    (
        "LayerNormalization",
        "SkipLayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
        "LRN",
    ): "divides by what each sample has; train with BatchNorm",
    ("ConvTranspose", "Resize", "Upsample", "DepthToSpace", "SpaceToDepth", "GridSample", "RoiAlign"): (
        "makes images of another size; train without it"
    ),
    ("Sqrt", "Reciprocal", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"): (
        "computes with a sum or a root of what each sample has, as LayerNormalization does; train dense layers, with BatchNorm"
    ),
    ("Tile", "Expand"): "makes images of another size; train without it",
    ("Split", "Slice"): "takes a part of the values; export a network that takes the whole, or a layer for each part",
    (
        "Gather",
        "GatherElements",
    ): "looks rows up by value, as an Embedding does; give the network numbers, and train it without",
    ("TopK", "NonMaxSuppression", "NonZero", "Unique", "Where", "OneHot", "ScatterND", "ScatterElements", "GatherND"): (
        "selects by value, which no layer does; export the scores in front of it"
    ),
    ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"): (
        "draws random numbers; export in eval mode"
    ),
    ("SequenceAt", "SequenceConstruct", "SequenceInsert", "SplitToSequence", "ConcatFromSequence", "Optional"): (
        "makes a sequence of tensors; export one tensor"
    ),
    ("STFT", "DFT", "MelWeightMatrix", "HannWindow", "HammingWindow", "BlackmanWindow"): (
        "computes a spectrum; export the network behind it, and give it spectra"
    ),
    ("DeformConv",): "moves by offsets of its own; use Conv2d",
    ("QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"): (
        "computes in integers of its own; quantize with QuantFormat.QDQ"
    ),
}
_FACTS = {name: fact for names, fact in _KINDS.items() for name in names}


ATTENTION = "multiplies values by each other, as attention does; train a convolution or dense layers"
"""Of a MatMul of two values."""


def reason(operator: str, known: Iterable[str]) -> str | None:
    """Why ``operator`` is refused, None if it is among the ``known``, or only the walk can tell."""
    if operator in known:
        return None
    return _FACTS.get(operator)
