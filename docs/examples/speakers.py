"""
Who is speaking?
================

You learn here how to classify recordings of unlike length with scikit-learn's methods, and how to search for settings
among the training recordings alone.

The Japanese Vowels are real recordings of nine speakers, 7 to 29 frames each. They go to `LSTMClassifier` as a list of
arrays. The test recordings were looked at when all settings stood. The baseline was chosen before: logistic regression,
with scikit-learn's defaults, on means and standard deviations of each recording's coefficients.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastlstm.datasets import load_japanese_vowels
from fastlstm.sklearn import LSTMClassifier

SEEDS = 10
train, test = load_japanese_vowels()
X, X_test = ([x[:length] for x, length in zip(part.x, part.lengths, strict=True)] for part in (train, test))

# %%
# **How the settings were chosen.** By five-fold cross-validation among the training recordings:
# ``python speakers.py --search`` does it again, in some minutes. What is no part of the grid had been settled before by
# the same folds.

ALWAYS = {"hidden_layer_sizes": 32, "bidirectional": True, "batch_size": 30, "learning_rate_init": 0.01, "max_iter": 60,
          "n_iter_no_change": np.inf}  # fmt: skip
GRID = {"cell": ["standard", "gru"], "dropout": [0.0, 0.5], "recurrent_dropout": [0.0, 0.3, 0.5]}


def search():
    """The settings with which most training recordings are told apart by a network that did not learn from them."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found = GridSearchCV(LSTMClassifier(random_state=0, **ALWAYS), GRID, cv=folds, refit=False, verbose=3)
    found.fit(X, train.labels)
    order = np.argsort(-found.cv_results_["mean_test_score"], kind="stable")
    for i in order:
        print(f"{found.cv_results_['mean_test_score'][i]:.4f} {found.cv_results_['params'][i]}")
    return found.best_params_


CHOSEN = {"cell": "gru", "dropout": 0.5, "recurrent_dropout": 0.5}
if "--search" in sys.argv:
    print("chosen:", search())
    sys.exit()

# %%
# The test: ten networks, which differ in their random numbers alone, beside the baseline.


def pooled(recordings):
    return [np.concatenate([x.mean(axis=0), x.std(axis=0)]) for x in recordings]


baseline = make_pipeline(StandardScaler(), LogisticRegression()).fit(pooled(X), train.labels)
simple = baseline.predict(pooled(X_test)) == test.labels
fitted = [LSTMClassifier(random_state=seed, **ALWAYS, **CHOSEN).fit(X, train.labels) for seed in range(SEEDS)]
right = np.array([one.predict(X_test) == test.labels for one in fitted])
scores = right.mean(axis=1)
together = np.mean([one.predict_proba(X_test) for one in fitted], axis=0).argmax(axis=1)

published = 0.941  # M. Kudo, J. Toyama, M. Shimbo, Pattern Recognition Letters 20 (1999); hidden Markov models: 0.962
print(f"{len(X_test)} test recordings told apart, mean of {SEEDS} networks: {scores.mean():.1%} "
      f"({scores.min():.1%} to {scores.max():.1%}); all together {np.mean(together == test.labels):.1%}")  # fmt: skip
print(f"logistic regression on means and deviations: {simple.mean():.1%}; published: {published:.1%}")
assert scores.mean() >= 0.97

# %%
# Of each speaker, the share of recordings that are taken for another's. The ten points of a speaker are the networks.
# The baseline does not know the order of the frames, which tells apart what means and deviations do not.

speakers = np.unique(test.labels)
figure, axes = plt.subplots()
for speaker in speakers:
    wrong = 100 * (1 - right[:, test.labels == speaker].mean(axis=1))
    axes.plot(np.full(SEEDS, speaker + 1) + np.linspace(-0.2, 0.2, SEEDS), wrong, "o", color="C0", markersize=4,
              label="each of ten networks" if speaker == 0 else None)  # fmt: skip
    axes.hlines(100 * np.mean(~simple[test.labels == speaker]), speaker + 0.6, speaker + 1.4, color="C3",
                label="logistic regression" if speaker == 0 else None)  # fmt: skip
title = f"{1 - scores.mean():.1%} of all are wrong, {1 - simple.mean():.1%} without the order of frames"
axes.set(xlabel="speaker", ylabel="recordings wrong, %", xticks=speakers + 1, ylim=(-0.5, 13), title=title)
axes.legend(loc="upper center", ncols=2)
plt.show()
