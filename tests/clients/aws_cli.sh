#!/usr/bin/env bash
# The AWS CLI against the served twin: at least 60 commands, with what each must print or refuse.
#
# Usage: aws_cli.sh ENDPOINT [PATH-OF-AWS]. The twin should run with an empty account and `--speed 30` or so.
# Prints one line a command and a sum; exit status 1 when one fails.
set -u
endpoint="$1"
aws="${2:-aws}"
export AWS_ENDPOINT_URL="$endpoint" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-2
export AWS_PAGER="" AWS_MAX_ATTEMPTS=3 AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
count=0 failed=0

verdict() { # passed? command [output]
  count=$((count + 1))
  if [ "$1" = yes ]; then
    echo "ok $2"
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n%s\n' "$2" "$3"
  fi
}

# yes WANTED COMMAND...: succeeds, and its text output is WANTED (`*` for anything).
yes() {
  local wanted="$1" output
  shift
  if output="$("$aws" "$@" --output text 2>&1)" && { [ "$wanted" = '*' ] || [ "$output" = "$wanted" ]; }; then
    verdict yes "aws $1 $2"
  else
    verdict no "aws $* (wanted: $wanted)" "$output"
  fi
}

# no CODE COMMAND...: refused with this error code.
no() {
  local code="$1" output
  shift
  if output="$("$aws" "$@" --output text 2>&1)"; then
    verdict no "aws $* (wanted: $code)" "$output"
  elif [[ "$output" == *"($code)"* ]]; then
    verdict yes "aws $1 $2 refused with $code"
  else
    verdict no "aws $* (wanted: $code)" "$output"
  fi
}

# until WANTED COMMAND...: prints WANTED at last.
until_is() {
  local wanted="$1" output="" try
  shift
  for try in $(seq 60); do
    output="$("$aws" "$@" --output text 2>&1)"
    if [ "$output" = "$wanted" ]; then
      verdict yes "aws $1 $2 at last $wanted"
      return
    fi
  done
  verdict no "aws $* (wanted at last: $wanted, $try tries)" "$output"
}

active() { until_is ACTIVE kinesis describe-stream-summary --stream-name cli --query StreamDescriptionSummary.StreamStatus; }

yes 123456789012 sts get-caller-identity --query Account

# Kinesis
yes '*' kinesis create-stream --stream-name cli --shard-count 1 --stream-mode-details StreamMode=PROVISIONED
no ResourceInUseException kinesis create-stream --stream-name cli --shard-count 1
yes '' kinesis wait stream-exists --stream-name cli
yes 1 kinesis describe-stream-summary --stream-name cli --query StreamDescriptionSummary.OpenShardCount
no ResourceNotFoundException kinesis describe-stream-summary --stream-name nobody
yes cli kinesis list-streams --query StreamNames
yes shardId-000000000000 kinesis list-shards --stream-name cli --query 'Shards[].ShardId'
yes '*' kinesis describe-limits
yes '' kinesis add-tags-to-stream --stream-name cli --tags team=racing,env=test
yes racing kinesis list-tags-for-stream --stream-name cli --query "Tags[?Key=='team'].Value"
yes '' kinesis remove-tags-from-stream --stream-name cli --tag-keys env
yes 1 kinesis list-tags-for-stream --stream-name cli --query 'length(Tags)'
yes shardId-000000000000 kinesis put-record --stream-name cli --partition-key a --data hello --query ShardId
iterator="$("$aws" kinesis get-shard-iterator --stream-name cli --shard-id shardId-000000000000 \
  --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text)"
yes aGVsbG8= kinesis get-records --shard-iterator "$iterator" --query 'Records[].Data'
no InvalidArgumentException kinesis get-records --shard-iterator nonsense
yes '' kinesis increase-stream-retention-period --stream-name cli --retention-period-hours 48
active
no InvalidArgumentException kinesis increase-stream-retention-period --stream-name cli --retention-period-hours 47
yes 48 kinesis describe-stream-summary --stream-name cli --query StreamDescriptionSummary.RetentionPeriodHours
yes '*' kinesis enable-enhanced-monitoring --stream-name cli --shard-level-metrics IncomingBytes
active
yes '' kinesis start-stream-encryption --stream-name cli --encryption-type KMS --key-id alias/aws/kinesis
active
no LimitExceededException kinesis update-shard-count --stream-name cli --target-shard-count 3 --scaling-type UNIFORM_SCALING
yes 2 kinesis update-shard-count --stream-name cli --target-shard-count 2 --scaling-type UNIFORM_SCALING --query TargetShardCount
active
yes '' kinesis merge-shards --stream-name cli --shard-to-merge shardId-000000000001 --adjacent-shard-to-merge shardId-000000000002
active
yes 1 kinesis describe-stream-summary --stream-name cli --query StreamDescriptionSummary.OpenShardCount
stream="$("$aws" kinesis describe-stream-summary --stream-name cli --query StreamDescriptionSummary.StreamARN --output text)"
yes CREATING kinesis register-stream-consumer --stream-arn "$stream" --consumer-name fan --query Consumer.ConsumerStatus
no ResourceInUseException kinesis register-stream-consumer --stream-arn "$stream" --consumer-name fan
until_is ACTIVE kinesis describe-stream-consumer --stream-arn "$stream" --consumer-name fan --query ConsumerDescription.ConsumerStatus
yes fan kinesis list-stream-consumers --stream-arn "$stream" --query 'Consumers[].ConsumerName'
no ResourceInUseException kinesis delete-stream --stream-name cli
yes '' kinesis deregister-stream-consumer --stream-arn "$stream" --consumer-name fan

# Lambda
echo 'def handler(event, context): return None' >"$work/index.py"
(cd "$work" && python3 -m zipfile -c function.zip index.py)
yes cli lambda create-function --function-name cli --runtime python3.13 --handler index.handler \
  --role arn:aws:iam::123456789012:role/cli --zip-file "fileb://$work/function.zip" --query FunctionName
no ResourceConflictException lambda create-function --function-name cli --runtime python3.13 --handler index.handler \
  --role arn:aws:iam::123456789012:role/cli --zip-file "fileb://$work/function.zip"
yes '' lambda wait function-active-v2 --function-name cli
yes 30 lambda update-function-configuration --function-name cli --timeout 30 --query Timeout
yes '' lambda wait function-updated-v2 --function-name cli
yes 30 lambda get-function-configuration --function-name cli --query Timeout
yes cli lambda list-functions --query 'Functions[].FunctionName'
yes 7 lambda put-function-concurrency --function-name cli --reserved-concurrent-executions 7 --query ReservedConcurrentExecutions
yes 7 lambda get-function-concurrency --function-name cli --query ReservedConcurrentExecutions
yes '' lambda delete-function-concurrency --function-name cli
yes 1000 lambda get-account-settings --query AccountLimit.ConcurrentExecutions
mapping="$("$aws" lambda create-event-source-mapping --event-source-arn "$stream" --function-name cli \
  --starting-position TRIM_HORIZON --query UUID --output text)"
no ResourceConflictException lambda create-event-source-mapping --event-source-arn "$stream" --function-name cli --starting-position LATEST
until_is Enabled lambda get-event-source-mapping --uuid "$mapping" --query State
yes Updating lambda update-event-source-mapping --uuid "$mapping" --parallelization-factor 10 --bisect-batch-on-function-error --query State
until_is Enabled lambda get-event-source-mapping --uuid "$mapping" --query State
no ValidationException lambda update-event-source-mapping --uuid "$mapping" --batch-size 100 --parallelization-factor 11
yes "$mapping" lambda list-event-source-mappings --function-name cli --query 'EventSourceMappings[].UUID'
yes Deleting lambda delete-event-source-mapping --uuid "$mapping" --query State
function="$("$aws" lambda get-function --function-name cli --query Configuration.FunctionArn --output text)"
yes '' lambda tag-resource --resource "$function" --tags team=racing
yes racing lambda list-tags --resource "$function" --query Tags.team
yes '*' lambda delete-function --function-name cli
no ResourceNotFoundException lambda get-function --function-name cli

# DynamoDB
yes CREATING dynamodb create-table --table-name cli --attribute-definitions AttributeName=PK,AttributeType=S \
  --key-schema AttributeName=PK,KeyType=HASH --provisioned-throughput ReadCapacityUnits=5,WriteCapacityUnits=5 --query TableDescription.TableStatus
yes '' dynamodb wait table-exists --table-name cli
no ValidationException dynamodb update-table --table-name cli --provisioned-throughput ReadCapacityUnits=5,WriteCapacityUnits=5
yes UPDATING dynamodb update-table --table-name cli --provisioned-throughput ReadCapacityUnits=5,WriteCapacityUnits=10 --query TableDescription.TableStatus
yes '' dynamodb wait table-exists --table-name cli
yes '' dynamodb put-item --table-name cli --item '{"PK": {"S": "a"}, "V": {"N": "1"}}'
yes 1 dynamodb get-item --table-name cli --key '{"PK": {"S": "a"}}' --query Item.V.N
no ValidationException dynamodb get-item --table-name cli --key '{"Q": {"S": "a"}}'
yes '' dynamodb delete-item --table-name cli --key '{"PK": {"S": "a"}}'
yes '*' dynamodb batch-write-item --request-items '{"cli": [{"PutRequest": {"Item": {"PK": {"S": "b"}}}}]}'
yes ENABLED dynamodb update-continuous-backups --table-name cli --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true \
  --query ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus
yes True dynamodb update-time-to-live --table-name cli --time-to-live-specification Enabled=true,AttributeName=expires --query TimeToLiveSpecification.Enabled
yes '*' dynamodb describe-limits
table="$("$aws" dynamodb describe-table --table-name cli --query Table.TableArn --output text)"
yes '' dynamodb tag-resource --resource-arn "$table" --tags Key=team,Value=racing
yes racing dynamodb list-tags-of-resource --resource-arn "$table" --query 'Tags[].Value'
yes True dynamodb update-table --table-name cli --deletion-protection-enabled --query TableDescription.DeletionProtectionEnabled
no ValidationException dynamodb delete-table --table-name cli

# Application Auto Scaling
target=(--service-namespace dynamodb --resource-id table/cli --scalable-dimension dynamodb:table:WriteCapacityUnits)
yes '*' application-autoscaling register-scalable-target "${target[@]}" --min-capacity 5 --max-capacity 100
yes table/cli application-autoscaling describe-scalable-targets --service-namespace dynamodb --query 'ScalableTargets[].ResourceId'
yes '*' application-autoscaling put-scaling-policy "${target[@]}" --policy-name half --policy-type TargetTrackingScaling \
  --target-tracking-scaling-policy-configuration '{"TargetValue": 50.0, "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"}}'
yes half application-autoscaling describe-scaling-policies --service-namespace dynamodb --query 'ScalingPolicies[].PolicyName'
yes '' application-autoscaling deregister-scalable-target "${target[@]}"
no ObjectNotFoundException application-autoscaling deregister-scalable-target "${target[@]}"

# CloudWatch
yes '' cloudwatch put-metric-data --namespace Cli --metric-name m --value 3 --unit Count
no InvalidParameterValue cloudwatch put-metric-data --namespace AWS/Lambda --metric-name m --value 3
yes '*' cloudwatch list-metrics --namespace AWS/Kinesis
yes '*' cloudwatch get-metric-statistics --namespace AWS/Kinesis --metric-name IncomingRecords \
  --dimensions Name=StreamName,Value=cli --start-time 2026-01-01T00:00:00Z --end-time 2026-01-01T01:00:00Z --period 60 --statistics Sum
yes Complete cloudwatch get-metric-data --start-time 2026-01-01T00:00:00Z --end-time 2026-01-01T01:00:00Z --metric-data-queries \
  '[{"Id": "a", "MetricStat": {"Metric": {"Namespace": "Cli", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}]' --query 'MetricDataResults[].StatusCode'

# The end
yes False dynamodb update-table --table-name cli --no-deletion-protection-enabled --query TableDescription.DeletionProtectionEnabled
until_is DELETING dynamodb delete-table --table-name cli --query TableDescription.TableStatus
yes '' dynamodb wait table-not-exists --table-name cli
yes '' kinesis delete-stream --stream-name cli --enforce-consumer-deletion
yes '' kinesis wait stream-not-exists --stream-name cli

echo "$((count - failed)) of $count AWS CLI commands passed"
[ "$failed" -eq 0 ]
