#!/bin/sh
# Tells the listener of new objects: ./bucket-notification.sh minio|ceph, for the bucket of DATA_PREFIX.
# LISTENER is its address, http://el-jukebox.NAMESPACE.svc:8080 inside the cluster. DATA_TOKEN is the key data of the
# secret jukebox-webhook: it is sent as "Authorization: Bearer …".
#   minio  needs mc with the alias in MINIO_ALIAS (admin). It restarts MinIO, which reads its targets then.
#   ceph   needs the AWS CLI and the gateway in RGW_ENDPOINT (https). Ceph sends no bearer token, but user and password
#          of the address: make DATA_TOKEN the base64 of "jukebox:PASSWORD", and give PASSWORD here (letters, digits).
# S3 of AWS sends to no address of your own: let a Lambda or the like POST {"Records": […]} with the token.
set -eu
listener=${LISTENER:?the address of the listener} bucket=${BUCKET:-charts}
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
