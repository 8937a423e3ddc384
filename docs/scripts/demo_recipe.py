"""Chooses the demo's noise and learning rate on the training recordings alone: a third of each speaker's is held
out, in three different ways, with two seeds each.

python docs/scripts/demo_recipe.py          # the choice
python docs/scripts/demo_recipe.py test     # then, once: the test set, seeds 0 to 9
"""

import sys

import numpy as np

from fastlstm import demo
from fastlstm.datasets import Utterances, load_japanese_vowels

EPOCHS = 40


def held_out(utterances: Utterances, split: int) -> np.ndarray:
    rng = np.random.default_rng(100 + split)
    chosen = np.zeros(len(utterances.labels), bool)
    for speaker in range(demo.SPEAKERS):
        chosen[rng.choice(np.flatnonzero(utterances.labels == speaker), 10, replace=False)] = True
    return chosen


def choose() -> None:
    train, _ = load_japanese_vowels()
    for demo.LEARNING_RATE in (3e-3, 6e-3):
        for demo.NOISE in (0.0, 0.15, 0.3, 0.5, 0.7):
            accuracies = []
            for split in range(3):
                out = held_out(train, split)
                kept, rest = (Utterances(*(a[mask] for a in train)) for mask in (~out, out))
                accuracies += [demo.train(kept, rest, seed=seed, epochs=EPOCHS).accuracy for seed in range(2)]
            print(f"rate {demo.LEARNING_RATE}, noise {demo.NOISE}: {np.mean(accuracies):.1%}", flush=True)


def test() -> None:
    train, rest = load_japanese_vowels()
    results = [demo.train(train, rest, seed=seed, epochs=EPOCHS) for seed in range(10)]
    accuracies = [result.accuracy for result in results]
    seconds = np.mean([result.seconds for result in results])
    print(" ".join(f"{a:.1%}" for a in accuracies), f"mean {np.mean(accuracies):.2%}, {seconds:.2f} s each")


test() if sys.argv[1:] == ["test"] else choose()
