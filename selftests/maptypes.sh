#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A module registers a map type and takes it back 10,000 times while user space makes maps of it: a map is of a type that is
# there, or is not made; and nothing is left in the end.
. "$(dirname "$0")/lib.sh"

loops=10000

need flows
test_module flowmap_type_loop
modprobe -q nf_conntrack || true

type=(type=79 key=4 value=4 flags=0)
[ "$(flows create "${type[@]}" || true)" = EINVAL ] || unpatched "type 79 is taken"

insmod "$module" "loops=$loops" &
insmod=$!
made=0
while [ -d "/proc/$insmod" ]; do
	made=$((made + $(flows loop 1000 "${type[@]}")))
done
rc=0
wait $insmod || rc=$?
check "registered and taken back $loops times: exit" $rc -eq 0
check "maps made meanwhile" $made -gt 0
echo "# found busy: $(</sys/module/flowmap_type_loop/parameters/busy) times"
check "once it has gone" "$(flows create "${type[@]}" || true)" = EINVAL
succeeds "rmmod" busywait 5000 rmmod flowmap_type_loop
