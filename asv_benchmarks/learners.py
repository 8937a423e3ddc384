"""Systems that learn, each in a process of its own as in systems.py: run as a file by `training`.

The same model, first weights, samples and order everywhere: an epoch of binary cross-entropy and RMSprop at a time. The
work returns all weights, in Keras's layout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from asv_benchmarks.benchmarks.learning import EPSILON, RATE, RHO, data, first_weights, model
from asv_benchmarks.benchmarks.shapes import Fit
from asv_benchmarks.systems import Work, serve, threads


def _fit(fit: Fit, learner: Any) -> Work:
    x, labels = data(fit)

    def epoch() -> tuple[Any, ...]:
        learner.fit(x, labels, batch_size=fit.batch, shuffle=False, verbose=0)
        return tuple(learner.get_weights())

    return epoch


def fastlstm(fit: Fit) -> Work:
    from fastlstm import nn

    return _fit(fit, model(fit, nn.Sequential, nn))


def keras(fit: Fit) -> Work:
    """On the backend that the environment names."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads())
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads())
    return _fit(fit, model(fit, keras.Sequential, keras.layers))


def torch(fit: Fit) -> Work:
    """A loop written by hand."""
    import torch

    torch.set_num_threads(threads())
    lstm, head = torch.nn.LSTM(fit.D, fit.H, num_layers=2, batch_first=True), torch.nn.Linear(fit.H, 1)
    own = [*lstm.parameters(), *head.parameters()]
    W, U, b, W1, U1, b1, V, a = (torch.from_numpy(array.T) for array in first_weights(fit))
    with torch.no_grad():
        for parameter, value in zip(own, (W, U, b, 0 * b, W1, U1, b1, 0 * b1, V, a), strict=True):
            parameter.copy_(value)
    learned = [parameter for n, parameter in enumerate(own) if n not in (3, 7)]  # one bias, as the others have
    squares = [torch.zeros_like(parameter) for parameter in learned]
    x, labels = map(torch.from_numpy, data(fit))
    cross_entropy = torch.nn.BCEWithLogitsLoss()

    def epoch() -> tuple[Any, ...]:
        total = 0.0
        for begin in range(0, fit.samples, fit.batch):
            batch = slice(begin, begin + fit.batch)
            for parameter in own:
                parameter.grad = None
            loss = cross_entropy(head(lstm(x[batch])[0][:, -1]), labels[batch])
            loss.backward()
            with torch.no_grad():  # as torch.optim.RMSprop, but for the epsilon, which Keras has under the root
                for parameter, square in zip(learned, squares, strict=True):
                    square.mul_(RHO).addcmul_(parameter.grad, parameter.grad, value=1 - RHO)
                    parameter.addcdiv_(parameter.grad, (square + EPSILON).sqrt_(), value=-RATE)
            total += loss.item()
        return tuple(parameter.detach().numpy().T for parameter in learned)

    return epoch


LEARNERS: dict[str, Callable[[Fit], Work]] = {make.__name__: make for make in (fastlstm, keras, torch)}


if __name__ == "__main__":
    serve(lambda mode, *sizes: LEARNERS[sys.argv[1]](Fit(*sizes)))
