#!/bin/sh
# /var/lib/typostream stays: events may wait there for Kafka.
set -e
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
