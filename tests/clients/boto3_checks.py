"""boto3 against the served twin: waiters, paginators, error classes, event streams.

Usage: boto3_checks.py ENDPOINT. The twin should run with an empty account and `--speed 30` or so, so that
waiters need little real time. Prints one line a check and a sum; exit status 1 when a check fails.
"""

import base64
import io
import sys
import traceback
import zipfile
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
FAST = {"Delay": 1, "MaxAttempts": 120}
CHECKS = []


def client(service):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="us-east-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "max_attempts": 4}),
    )


kinesis, lambda_, dynamodb = client("kinesis"), client("lambda"), client("dynamodb")
cloudwatch, scaling, sts = client("cloudwatch"), client("application-autoscaling"), client("sts")


def check(function):
    CHECKS.append(function)
    return function


def refused(code, call, **arguments):
    """The call is refused with this code, as the modelled exception class of its client."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found} instead of {code}: {error}"
        assert error.response["ResponseMetadata"]["RequestId"], "no request id"
        return error
    raise AssertionError(f"not refused with {code}")


def wait_stream(name):
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig=FAST)


def zipped():
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return None\n")
    return body.getvalue()


@check
def sts_knows_the_caller():
    identity = sts.get_caller_identity()
    assert len(identity["Account"]) == 12 and identity["Arn"].startswith("arn:aws:"), identity


@check
def a_stream_from_create_to_active_by_waiter():
    kinesis.create_stream(StreamName="clients", ShardCount=2, StreamModeDetails={"StreamMode": "PROVISIONED"})
    refused("ResourceInUseException", kinesis.create_stream, StreamName="clients", ShardCount=2)
    wait_stream("clients")
    summary = kinesis.describe_stream_summary(StreamName="clients")["StreamDescriptionSummary"]
    assert summary["StreamStatus"] == "ACTIVE" and summary["OpenShardCount"] == 2, summary
    assert isinstance(summary["StreamCreationTimestamp"], datetime)


@check
def streams_are_listed_page_by_page():
    for index in range(3):
        kinesis.create_stream(StreamName=f"page-{index}", ShardCount=1)
        wait_stream(f"page-{index}")
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    names = [name for page in pages for name in page["StreamNames"]]
    assert {"clients", "page-0", "page-1", "page-2"} <= set(names) and names == sorted(names), names
    for index in range(3):
        kinesis.delete_stream(StreamName=f"page-{index}")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="page-2", WaiterConfig=FAST)


@check
def shards_are_listed_page_by_page():
    # boto3's own paginator names the stream beside the token, which AWS refuses.
    page = kinesis.list_shards(StreamName="clients", MaxResults=1)
    shards = page["Shards"]
    while "NextToken" in page:
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=1)
        shards += page["Shards"]
    assert len(shards) == 2, shards
    ranges = [(int(it["HashKeyRange"]["StartingHashKey"]), int(it["HashKeyRange"]["EndingHashKey"])) for it in shards]
    assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1 and ranges[0][1] + 1 == ranges[1][0], ranges


@check
def records_come_back_as_they_were_put():
    put = kinesis.put_record(StreamName="clients", Data=b"one \x00\xff", PartitionKey="rider-1")
    assert put["ShardId"].startswith("shardId-") and int(put["SequenceNumber"]) > 0, put
    answer = kinesis.put_records(
        StreamName="clients",
        Records=[{"Data": f"{index}".encode(), "PartitionKey": f"rider-{index}"} for index in range(20)],
    )
    assert answer["FailedRecordCount"] == 0, answer
    found = {}
    for shard in kinesis.list_shards(StreamName="clients")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="clients", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=iterator)["Records"]
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(numbers), numbers
        for record in records:
            found.setdefault(record["PartitionKey"], []).append(record["Data"])
    assert found["rider-1"][0] == b"one \x00\xff", found["rider-1"]
    assert sum(map(len, found.values())) == 21, found


@check
def fan_out_delivers_an_event_stream():
    arn = kinesis.describe_stream_summary(StreamName="clients")["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="fan")["Consumer"]
    for _ in range(600):
        status = kinesis.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])["ConsumerDescription"]
        if status["ConsumerStatus"] == "ACTIVE":
            break
    else:
        raise AssertionError(f"never ACTIVE: {status}")
    shard = kinesis.put_record(StreamName="clients", Data=b"pushed", PartitionKey="fan")["ShardId"]
    stream = kinesis.subscribe_to_shard(
        ConsumerARN=consumer["ConsumerARN"], ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]
    for event in stream:
        event = event["SubscribeToShardEvent"]
        assert "ContinuationSequenceNumber" in event and "MillisBehindLatest" in event, event
        if any(record["Data"] == b"pushed" for record in event["Records"]):
            break
    stream.close()
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn)
    assert [it["ConsumerName"] for page in pages for it in page["Consumers"]] == ["fan"]
    kinesis.deregister_stream_consumer(ConsumerARN=consumer["ConsumerARN"])


@check
def reshards_obey_the_rules():
    refused(
        "LimitExceededException",
        kinesis.update_shard_count,
        StreamName="clients",
        TargetShardCount=5,
        ScalingType="UNIFORM_SCALING",
    )
    kinesis.update_shard_count(StreamName="clients", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    refused(
        "ResourceInUseException",
        kinesis.update_shard_count,
        StreamName="clients",
        TargetShardCount=2,
        ScalingType="UNIFORM_SCALING",
    )
    wait_stream("clients")
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName="clients")
    shards = [shard for page in pages for shard in page["StreamDescription"]["Shards"]]
    parents = [shard for shard in shards if "EndingSequenceNumber" in shard["SequenceNumberRange"]]
    assert len(shards) >= 6 and len(parents) == len(shards) - 4, shards


@check
def missing_things_are_modelled_exceptions():
    try:
        kinesis.describe_stream_summary(StreamName="nobody")
    except kinesis.exceptions.ResourceNotFoundException as error:
        assert "nobody" in str(error), error
    try:
        dynamodb.describe_table(TableName="nobody")
    except dynamodb.exceptions.ResourceNotFoundException as error:
        assert "nobody" in str(error), error
    try:
        lambda_.get_function(FunctionName="nobody")
    except lambda_.exceptions.ResourceNotFoundException as error:
        assert "nobody" in str(error), error


@check
def a_function_by_its_waiters():
    made = lambda_.create_function(
        FunctionName="clients",
        Runtime="python3.13",
        Role="arn:aws:iam::123456789012:role/clients",
        Handler="index.handler",
        Code={"ZipFile": zipped()},
        Timeout=5,
    )
    assert base64.b64decode(made["CodeSha256"]) and made["CodeSize"] > 0, made
    lambda_.get_waiter("function_exists").wait(FunctionName="clients", WaiterConfig=FAST)
    lambda_.get_waiter("function_active_v2").wait(FunctionName="clients", WaiterConfig=FAST)
    lambda_.update_function_configuration(FunctionName="clients", Timeout=15)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName="clients", WaiterConfig=FAST)
    assert lambda_.get_function_configuration(FunctionName="clients")["Timeout"] == 15
    names = [it["FunctionName"] for page in lambda_.get_paginator("list_functions").paginate() for it in page["Functions"]]
    assert "clients" in names, names
    refused("InvalidParameterValueException", lambda_.put_function_concurrency, FunctionName="clients", ReservedConcurrentExecutions=990)
    lambda_.put_function_concurrency(FunctionName="clients", ReservedConcurrentExecutions=5)
    assert lambda_.get_function_concurrency(FunctionName="clients")["ReservedConcurrentExecutions"] == 5


@check
def a_mapping_through_its_states():
    arn = kinesis.describe_stream_summary(StreamName="clients")["StreamDescriptionSummary"]["StreamARN"]
    wanted = {"EventSourceArn": arn, "FunctionName": "clients", "StartingPosition": "LATEST", "BatchSize": 10}
    mapping = lambda_.create_event_source_mapping(**wanted)
    assert mapping["State"] == "Creating", mapping
    refused("ResourceConflictException", lambda_.create_event_source_mapping, **wanted)
    for _ in range(600):
        if lambda_.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled":
            break
    else:
        raise AssertionError("never Enabled")
    pages = lambda_.get_paginator("list_event_source_mappings").paginate(EventSourceArn=arn)
    assert [it["UUID"] for page in pages for it in page["EventSourceMappings"]] == [mapping["UUID"]]
    updated = lambda_.update_event_source_mapping(UUID=mapping["UUID"], ParallelizationFactor=3)
    assert updated["State"] == "Updating", updated
    for _ in range(600):
        now = lambda_.get_event_source_mapping(UUID=mapping["UUID"])
        if now["State"] == "Enabled":
            break
    assert now["ParallelizationFactor"] == 3, now
    assert lambda_.delete_event_source_mapping(UUID=mapping["UUID"])["State"] == "Deleting"


@check
def a_table_by_its_waiters():
    dynamodb.create_table(
        TableName="clients",
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}, {"AttributeName": "N", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-number",
                "KeySchema": [{"AttributeName": "N", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            }
        ],
    )
    refused(
        "ResourceInUseException",
        dynamodb.create_table,
        TableName="clients",
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName="clients", WaiterConfig=FAST)
    table = dynamodb.describe_table(TableName="clients")["Table"]
    assert table["TableStatus"] == "ACTIVE" and table["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE", table
    names = [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert names == ["clients"], names


@check
def items_draw_on_the_capacity():
    dynamodb.put_item(TableName="clients", Item={"PK": {"S": "a"}, "N": {"N": "1"}, "V": {"S": "x" * 100}})
    answer = dynamodb.get_item(TableName="clients", Key={"PK": {"S": "a"}}, ReturnConsumedCapacity="TOTAL")
    assert answer["Item"]["V"]["S"] == "x" * 100 and answer["ConsumedCapacity"]["CapacityUnits"] == 0.5, answer
    refused("ValidationException", dynamodb.put_item, TableName="clients", Item={"Q": {"S": "a"}})
    hasty = boto3.client(
        "dynamodb",
        endpoint_url=ENDPOINT,
        region_name="us-east-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    big = {"N": {"N": "2"}, "V": {"S": "x" * 300_000}}
    for index in range(40):
        try:
            hasty.put_item(TableName="clients", Item={"PK": {"S": f"big-{index}"}, **big})
        except hasty.exceptions.ProvisionedThroughputExceededException:
            return
    raise AssertionError("12,000 units were taken from a table of 5 a second and 300 s of credit")


@check
def tags_are_listed_page_by_page():
    arn = dynamodb.describe_table(TableName="clients")["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{index}", "Value": "v"} for index in range(15)])
    pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    assert len([tag for page in pages for tag in page["Tags"]]) == 15


@check
def metrics_put_are_metrics_read():
    now = datetime.now(timezone.utc)
    latest = kinesis.put_record(StreamName="clients", Data=b"tick", PartitionKey="t")["ResponseMetadata"]["HTTPHeaders"]["date"]
    now = datetime.strptime(latest, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=timezone.utc)
    at = now - timedelta(minutes=30)
    cloudwatch.put_metric_data(
        Namespace="Clients",
        MetricData=[
            {"MetricName": f"m{index}", "Timestamp": at, "Values": [1.0, 2.0, 4.0], "Counts": [1, 1, 2]}
            for index in range(20)
        ],
    )
    refused("InvalidParameterValue", cloudwatch.put_metric_data, Namespace="AWS/Kinesis", MetricData=[{"MetricName": "x", "Value": 1.0}])
    query = [
        {"Id": f"q{index}", "MetricStat": {"Metric": {"Namespace": "Clients", "MetricName": f"m{index}"}, "Period": 60, "Stat": stat}}
        for index, stat in enumerate(["Sum", "Average", "Maximum", "Minimum", "SampleCount"])
    ] + [{"Id": "e0", "Expression": "q0 * 2 + q3", "Label": "math"}]
    window = {"StartTime": at - timedelta(minutes=5), "EndTime": now}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(MetricDataQueries=query, **window)
    values = {result["Id"]: result["Values"] for page in pages for result in page["MetricDataResults"]}
    assert values == {"q0": [11.0], "q1": [2.75], "q2": [4.0], "q3": [1.0], "q4": [4.0], "e0": [23.0]}, values
    points = cloudwatch.get_metric_statistics(
        Namespace="Clients", MetricName="m7", Period=60, Statistics=["Sum", "SampleCount"], **window
    )["Datapoints"]
    assert [(point["Sum"], point["SampleCount"]) for point in points] == [(11.0, 4.0)], points


@check
def a_scalable_target_and_its_policy():
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/clients",
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    }
    scaling.register_scalable_target(MinCapacity=5, MaxCapacity=50, **target)
    policy = scaling.put_scaling_policy(
        PolicyName="half",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 50.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
        },
        **target,
    )
    assert policy["PolicyARN"].startswith("arn:aws:autoscaling:"), policy
    for operation, member in [("describe_scalable_targets", "ScalableTargets"), ("describe_scaling_policies", "ScalingPolicies")]:
        pages = scaling.get_paginator(operation).paginate(ServiceNamespace="dynamodb")
        assert len([it for page in pages for it in page[member]]) == 1, operation
    scaling.deregister_scalable_target(**target)
    refused("ObjectNotFoundException", scaling.deregister_scalable_target, **target)


@check
def everything_goes_away_by_waiter():
    lambda_.delete_function(FunctionName="clients")
    dynamodb.delete_table(TableName="clients")
    dynamodb.get_waiter("table_not_exists").wait(TableName="clients", WaiterConfig=FAST)
    kinesis.delete_stream(StreamName="clients", EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName="clients", WaiterConfig=FAST)


def main():
    failed = 0
    for function in CHECKS:
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception:  # noqa: BLE001 - a check may fail in any way, and the next one still runs
            failed += 1
            print(f"FAILED {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} boto3 checks passed")
    sys.exit(1 if failed else 0)


main()
