"""One trial: principal components, then a support vector machine, judged by five-fold cross-validation."""

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import tuneport_trial

p = tuneport_trial.params()
images, labels = load_digits(return_X_y=True)
model = make_pipeline(PCA(p["components"], random_state=0), SVC(C=p["C"], gamma=p["gamma"]))
scores = cross_val_score(model, images, labels, cv=5)
print(f"accuracy of the folds: {scores.round(4)}")
tuneport_trial.report(accuracy=scores.mean(), spread=scores.std())
