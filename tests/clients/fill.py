"""Fills a served twin until it refuses: record payloads, metrics and items.

Usage: fill.py URL. Prints what was taken of each; exit status 1 when something is never refused.
"""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

SETTINGS = {
    "endpoint_url": sys.argv[1],
    "region_name": "us-east-1",
    "aws_access_key_id": "any",
    "aws_secret_access_key": "any",
    "config": Config(retries={"max_attempts": 1}),
}
kinesis, dynamodb, cloudwatch = (boto3.client(name, **SETTINGS) for name in ("kinesis", "dynamodb", "cloudwatch"))


def fill(what, most, put):
    """Puts until the first refusal that lasts."""
    refused = 0
    for turn in range(most):
        try:
            put(turn)
            refused = 0
        except ClientError as error:
            refused += 1
            if refused == 5:
                print(f"{what}: {turn - 4} calls were taken; then {error.response['Error']['Message']}")
                return
    sys.exit(f"{what}: never refused in {most} calls")


def records(turn):
    entries = [{"Data": os.urandom(20_000), "PartitionKey": os.urandom(8).hex()} for _ in range(400)]
    answer = kinesis.put_records(StreamName=f"fill-{turn % 20}", Records=entries)
    if answer["FailedRecordCount"] == len(entries):
        raise ClientError({"Error": {"Message": answer["Records"][0]["ErrorMessage"]}}, "PutRecords")


def metrics(turn):
    data = [{"MetricName": f"{turn}-{index}-" + "y" * 200, "Value": 1.0} for index in range(1_000)]
    cloudwatch.put_metric_data(Namespace="fill", MetricData=data)


def items(turn):
    dynamodb.put_item(TableName="fill", Item={"id": {"S": str(turn)}, "value": {"S": "z" * 390_000}})


for index in range(20):
    kinesis.create_stream(StreamName=f"fill-{index}", ShardCount=20)
    time.sleep(0.25)  # five are created at once
dynamodb.create_table(
    TableName="fill",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
for index in range(20):
    kinesis.get_waiter("stream_exists").wait(StreamName=f"fill-{index}", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
dynamodb.get_waiter("table_exists").wait(TableName="fill", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
fill("record payloads", 100, records)
fill("metrics", 100, metrics)
fill("items", 200, items)
