"""One job in the words of three clouds, and what each of them loses. Nothing is sent; no account is needed."""

import tuneport as tp

job = tp.TuningJob(
    name="digits",
    study=tp.StudySpec(
        parameters=[
            tp.Float("lr", 1e-5, 1e-1, scale="log"),
            tp.Int("layers", 1, 8),
            tp.Categorical("opt", ["adam", "sgd"]),
            tp.Float("momentum", 0.5, 0.99, when=tp.when("opt", "sgd")),
        ],
        objectives=[tp.maximize("accuracy")],
    ),
    trial=tp.TrialSpec(
        image="docker.io/team/train:1",
        output=tp.Output(uri="s3://team-runs/digits/"),
        resources=tp.Resources(gpus=1, gpu_type="t4", cpus=4),
        timeout="2h",
    ),
    budget=tp.Budget(max_trials=20, parallel_trials=2),
)

settings = {
    "vertex": {"output": "gs://team-runs/digits/"},
    "sagemaker": {
        "role": "arn:aws:iam::111122223333:role/trainer",
        "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/train:1",
    },
    "modelarts": {"image": "team/train:1", "output": "obs://team-runs/digits/"},
}

for cloud, own in settings.items():
    made = tp.translate(job, to=cloud, settings=own)
    print(f"{cloud}: a {made.form} of {len(str(made.payload))} characters, at worst {made.report.worst.value}")
    for field in made.report.fields:
        print(f"  {field.fidelity.value:<12} {field.pointer} {field.note}")
