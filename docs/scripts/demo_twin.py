"""The demo beside its twin in PyTorch: the same data, size, batches and epochs, in one run, seeds in turns.

python docs/scripts/demo_twin.py [SEEDS]     # needs torch; 5 seeds unless told
"""

import sys
import time

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from fastlstm import demo
from fastlstm.datasets import load_japanese_vowels

EPOCHS = 40


class Twin(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(12, demo.HIDDEN, batch_first=True)
        self.out = torch.nn.Linear(demo.HIDDEN, demo.SPEAKERS)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.out(self.lstm(packed)[1][0][0])


def twin(train, test, seed):
    """Accuracy and seconds of training: Adam 3e-3, gradients clipped at 1."""
    torch.manual_seed(seed)
    frames = train.x[np.arange(train.x.shape[1]) < train.lengths[:, None]]
    x, x_test = (torch.from_numpy((part.x - frames.mean(axis=0)) / frames.std(axis=0)) for part in (train, test))
    lengths, labels = torch.from_numpy(train.lengths), torch.from_numpy(train.labels)
    model = Twin()
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for some in torch.randperm(len(x)).split(demo.BATCH):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(model(x[some], lengths[some]), labels[some]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
    seconds = time.perf_counter() - began
    with torch.no_grad():
        found = model(x_test, torch.from_numpy(test.lengths)).argmax(1).numpy()
    return float((found == test.labels).mean()), seconds


def main(seeds):
    train, test = load_japanese_vowels()
    demo.train(train, test, seed=0, epochs=1)  # compiled, or loaded, before the clock starts
    twin(train, test, 0)
    rows = []
    for seed in range(seeds):
        own = demo.train(train, test, seed=seed, epochs=EPOCHS)
        rows.append((own.accuracy, own.seconds, *twin(train, test, seed)))
        print("seed {}: demo {:.1%} in {:.2f} s, twin {:.1%} in {:.2f} s".format(seed, *rows[-1]), flush=True)
    own, own_s, other, other_s = np.mean(rows, axis=0)
    print(
        f"mean: demo {own:.2%} in {own_s:.2f} s, twin {other:.2%} in {other_s:.2f} s: {own_s / other_s:.2f} of its time"
    )


main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
