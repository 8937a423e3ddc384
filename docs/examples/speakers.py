"""Who is speaking? Recordings of unlike length, classified: docs/estimators.md says more.

The Japanese Vowels recordings, 7 to 29 frames each, go to `LSTMClassifier` as a list of arrays. Settings were chosen by
cross-validation among the training recordings: `python speakers.py --search` does it again (some minutes). The test
recordings were looked at when they stood. The baseline was chosen before: logistic regression, with scikit-learn's
defaults, on means and standard deviations of each recording's coefficients.
"""

import sys

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


def pooled(recordings):
    return [np.concatenate([x.mean(axis=0), x.std(axis=0)]) for x in recordings]


baseline = make_pipeline(StandardScaler(), LogisticRegression()).fit(pooled(X), train.labels)
simple = baseline.score(pooled(X_test), test.labels)
fitted = [LSTMClassifier(random_state=seed, **ALWAYS, **CHOSEN).fit(X, train.labels) for seed in range(SEEDS)]
scores = np.array([one.score(X_test, test.labels) for one in fitted])
together = np.mean([one.predict_proba(X_test) for one in fitted], axis=0).argmax(axis=1)

published = 0.941  # M. Kudo, J. Toyama, M. Shimbo, Pattern Recognition Letters 20 (1999); hidden Markov models: 0.962
print(f"{len(X_test)} test recordings told apart, mean of {SEEDS} networks: {scores.mean():.1%} "
      f"({scores.min():.1%} to {scores.max():.1%}); all together {np.mean(together == test.labels):.1%}")  # fmt: skip
print(f"logistic regression on means and deviations: {simple:.1%}; published: {published:.1%}")
assert scores.mean() >= 0.97
