"""One trial: a linear classifier of scikit-learn's digits that goes on from its checkpoint, if it has one."""

import pickle
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import tuneport_trial

p = tuneport_trial.params()
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, test_size=0.3, random_state=0)

checkpoint = Path(tuneport_trial.checkpoint_dir(), "model.pickle")
model, epoch = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=1, random_state=0), 0
if checkpoint.exists():
    model, epoch = pickle.loads(checkpoint.read_bytes())
model.set_params(eta0=p["rate"], alpha=p["alpha"])  # an heir has the weights of its parent, but its own rate

while not tuneport_trial.should_stop():
    for _ in range(10):
        model.partial_fit(train_x, train_y, classes=range(10))
    epoch += 1
    part = checkpoint.with_suffix(".part")
    part.write_bytes(pickle.dumps((model, epoch)))
    part.replace(checkpoint)  # saved as a whole, and before it is reported
    tuneport_trial.report(step=epoch, loss=log_loss(test_y, model.predict_proba(test_x)))
