#!/bin/sh
# Nothing is started when it is installed: it has to be told of its Kafka first. A worker that runs is restarted.
set -e
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart typostream.service
fi
