"""The rest of AWS beside tuning: moto's, where it is installed."""

import io
import sys
import urllib.request

import pytest
from botocore.exceptions import ClientError


def test_storage_and_identities_are_at_the_same_address(cloud):
    s3, region = cloud.client("s3"), {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="data-bucket", CreateBucketConfiguration=region)
    s3.put_object(Bucket="data-bucket", Key="a b/ö.csv", Body=b"1,2", Metadata={"origin": "here"})
    found = s3.get_object(Bucket="data-bucket", Key="a b/ö.csv")
    assert (found["Body"].read(), found["Metadata"]) == (b"1,2", {"origin": "here"})
    assert s3.head_object(Bucket="data-bucket", Key="a b/ö.csv")["ContentLength"] == 3
    s3.upload_fileobj(io.BytesIO(bytes(9 << 20)), "data-bucket", "large")  # in parts
    large = io.BytesIO()
    s3.download_fileobj("data-bucket", "large", large)
    assert len(large.getvalue()) == 9 << 20
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "data-bucket", "Key": "a b/ö.csv"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"1,2"
    assert cloud.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert cloud.client("iam").create_role(RoleName="demo", AssumeRolePolicyDocument="{}")["Role"]["RoleName"] == "demo"


def test_the_next_emulator_finds_nothing_of_it(reopen):
    with reopen() as first:
        first.client("s3", "us-east-1").create_bucket(Bucket="data-bucket")
    with reopen() as second:
        assert second.client("s3").list_buckets()["Buckets"] == []


def test_services_have_what_tuning_does_not(cloud):
    assert cloud.client().list_models()["Models"] == []
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="mine")
    logs.create_log_stream(logGroupName="mine", logStreamName="one")
    assert logs.describe_log_streams(logGroupName="mine")["logStreams"][0]["logStreamName"] == "one"


def test_what_moto_does_not_know_is_the_clients_mistake(cloud):
    iam = cloud.client("iam")
    with pytest.raises(ClientError, match="UnknownOperationException") as caught:
        iam.simulate_principal_policy(PolicySourceArn="arn:aws:iam::000000000000:role/demo", ActionNames=["s3:Get"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_without_moto_it_says_what_to_install(cloud, monkeypatch):
    monkeypatch.setitem(sys.modules, "moto.moto_server.werkzeug_app", None)
    for call in (cloud.client("s3").list_buckets, cloud.client("sts").get_caller_identity, cloud.client().list_models):
        with pytest.raises(ClientError, match=r"tuneport\[emulators\]") as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    cloud.create()
    assert cloud.ended()["HyperParameterTuningJobStatus"] == "Completed"
