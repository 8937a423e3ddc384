"""Layers, models and training by Keras's names, on NumPy arrays: no framework.

The modules hold what Keras's modules of these names hold, as far as it exists here: a script of a `Sequential` model
changes ``keras`` to ``fastlstm.nn`` in its imports.
"""

import sys

from . import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from ._src.public import publish
from ._src.stack import GradientNorms
from .initializers import Initializer
from .layers import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Input,
    Layer,
    Masking,
    RepeatVector,
    SpatialDropout1D,
    TimeDistributed,
)
from .losses import Loss
from .metrics import Metric
from .models import Sequential, load_keras, load_model
from .optimizers import Optimizer
from .regularizers import Regularizer
from .utils import set_random_seed

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "GradientNorms",
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Masking",
    "Metric",
    "Optimizer",
    "Regularizer",
    "RepeatVector",
    "Sequential",
    "SpatialDropout1D",
    "TimeDistributed",
    "activations",
    "callbacks",
    "constraints",
    "initializers",
    "layers",
    "load_keras",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "saving",
    "set_random_seed",
    "utils",
]

publish(layers, models, saving, losses, metrics, callbacks, optimizers, optimizers.schedules, initializers)
publish(regularizers, constraints, activations, utils, preprocessing, preprocessing.sequence, sys.modules[__name__])
