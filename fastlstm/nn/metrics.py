"""Metrics: what `keras.metrics` holds, as far as it exists here, and `LossMetric`, which makes one of any loss."""

from ._src.metrics import (
    AUC,
    BinaryAccuracy,
    CategoricalAccuracy,
    LossMetric,
    Mean,
    MeanMetricWrapper,
    Metric,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    get,
)

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "LossMetric",
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "R2Score",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "get",
]
