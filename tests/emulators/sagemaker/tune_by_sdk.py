"""A tuning by the sagemaker SDK, as its users write it, in a process of its own: it takes seconds to import."""

import json
import sys
import time

from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.core.resources import HyperParameterTuningJob
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition
from sagemaker.train.tuner import HyperparameterTuner

IMAGE = sys.argv[1]
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.1))  # the SDK looks every five seconds


def tuner(jobs):
    trainer = ModelTrainer(
        training_image=IMAGE,
        role="arn:aws:iam::111122223333:role/demo",
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"epochs": 3},
        output_data_config=OutputDataConfig(s3_output_path="s3://demo-bucket/out"),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
    )
    return HyperparameterTuner(
        trainer,
        objective_metric_name="loss",
        hyperparameter_ranges={
            "lr": ContinuousParameter(1e-4, 0.1, "Logarithmic"),
            "depth": IntegerParameter(2, 9),
            "opt": CategoricalParameter(["adam", "sgd"]),
        },
        metric_definitions=[{"Name": "loss", "Regex": "loss=([-+0-9.eE]+)"}],
        strategy="Random",
        objective_type="Minimize",
        max_jobs=jobs,
        max_parallel_jobs=2,
        random_seed=7,
    )


inputs = [InputData(channel_name="train", data_source="s3://demo-bucket/in")]
done = tuner(4)
done.tune(inputs=inputs, job_name="tuned", wait=False)
done.wait()
frame = done.analytics().dataframe()
stopped = tuner(200)
stopped.tune(inputs=inputs, job_name="stopped", wait=False)
stopped.stop_tuning_job()
stopped.wait()
listed = list(HyperParameterTuningJob.get_all())
print(
    json.dumps(
        {
            "status": done.describe().hyper_parameter_tuning_job_status,
            "best": done.best_training_job(),
            "rows": frame[["TrainingJobName", "lr", "depth", "opt", "FinalObjectiveValue"]].to_dict("records"),
            "description": done.analytics().description()["HyperParameterTuningJobConfig"]["Strategy"],
            "stopped": stopped.describe().hyper_parameter_tuning_job_status,
            "listed": [one.hyper_parameter_tuning_job_name for one in listed],
        }
    )
)
