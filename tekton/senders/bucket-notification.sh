#!/bin/sh
# Configures a bucket to notify the listener of new objects: ./bucket-notification.sh minio|ceph
# BUCKET is the bucket of DATA_PREFIX. LISTENER is the address, http://el-jukebox.NAMESPACE.svc:8080 inside the cluster.
# DATA_TOKEN is the key data of the secret jukebox-webhook, sent as "Authorization: Bearer …".
#   minio  needs mc with the admin alias MINIO_ALIAS. It restarts MinIO to load the new target.
#   ceph   needs the AWS CLI and the gateway RGW_ENDPOINT (https). Ceph sends the user and password of the address instead
#          of a bearer token: set DATA_TOKEN to the base64 of "jukebox:PASSWORD", and PASSWORD (letters and digits).
# AWS S3 does not send to your own address: use a Lambda that POSTs {"Records": […]} with the token.
set -eu
listener=${LISTENER:?the address of the listener} bucket=${BUCKET:-tables}
case ${1:-} in
minio)
  mc admin config set "$MINIO_ALIAS" notify_webhook:jukebox endpoint="$listener" auth_token="Bearer $DATA_TOKEN" \
    queue_dir=/tmp/jukebox-events queue_limit=1000
  mc admin service restart "$MINIO_ALIAS"
  mc event add "$MINIO_ALIAS/$bucket" arn:minio:sqs::jukebox:webhook --event put
  ;;
ceph)
  address="${listener%%://*}://jukebox:$PASSWORD@${listener#*://}"
  topic=$(aws --endpoint-url "$RGW_ENDPOINT" sns create-topic --name jukebox --query TopicArn --output text \
    --attributes "{\"push-endpoint\": \"$address\", \"persistent\": \"true\"}")
  aws --endpoint-url "$RGW_ENDPOINT" s3api put-bucket-notification-configuration --bucket "$bucket" \
    --notification-configuration \
    "{\"TopicConfigurations\": [{\"Id\": \"jukebox\", \"TopicArn\": \"$topic\", \"Events\": [\"s3:ObjectCreated:*\"]}]}"
  ;;
*) echo "$0 minio|ceph" >&2 && exit 2 ;;
esac
