"""One trial: a neural network on scikit-learn's digits that reports its accuracy after each epoch."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tuneport_trial

p = tuneport_trial.params()
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, test_size=0.3, random_state=0)
model = MLPClassifier(
    (p["width"],), learning_rate_init=p["lr"], batch_size=p["batch"], alpha=p["alpha"], random_state=0
)

for epoch in range(1, p["epochs"] + 1):
    model.partial_fit(train_x, train_y, classes=range(10))
    accuracy = model.score(test_x, test_y)
    print(f"epoch {epoch}: accuracy {accuracy:.3f}", flush=True)
    tuneport_trial.report(step=epoch, accuracy=accuracy)
    if tuneport_trial.should_stop():  # early stopping asks; leaving at once frees the place for another trial
        break
