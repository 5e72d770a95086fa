#!/bin/sh
# Keeps a service running for as long as a test process uses it, and stops it soon after.
#
# keep.sh HOME STATE IDLE COMMAND...
#   HOME/users/PID  one file per test process that uses the service; those of the dead are removed
#   STATE           where the next test process finds the service
#   IDLE            seconds without a user after which the service is stopped
home=$1 state=$2 idle=$3
shift 3
"$@" &
service=$!

stop() {
    kill "$service" 2>/dev/null
    for _ in 1 2 3 4 5; do
        kill -0 "$service" 2>/dev/null || break
        sleep 1
    done
    kill -9 "$service" 2>/dev/null
    rm -rf "$home/data" "$home/users"
    exit 0
}
trap stop TERM INT HUP

used() {
    for user in "$home/users"/*; do
        kill -0 "${user##*/}" 2>/dev/null && return 0
        rm -f "$user"
    done
    return 1
}

quiet=0
while kill -0 "$service" 2>/dev/null; do
    sleep 1
    quiet=$((quiet + 1))
    used && quiet=0
    if [ "$quiet" -ge "$idle" ]; then
        # Who signs in now and still found the state is seen by the second look; who did not starts its own.
        grep -qs "^$$\$" "$state" && mv "$state" "$home/state"
        sleep 1
        used || stop
        quiet=0
        [ -e "$state" ] || mv "$home/state" "$state" 2>/dev/null
    fi
done
stop
