#!/bin/sh
# dpkg says "remove", rpm 0; both say something else before an upgrade, through which the worker goes on.
set -e
case "$1" in
remove | 0)
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now typostream.service
	fi
	;;
esac
