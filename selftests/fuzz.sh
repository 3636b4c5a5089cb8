#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two routers that are alike but for XDP do the same with packets and configurations that come from a seed; see fuzz/fuzz.h. "make
# fuzz" gives more time to it, and replays what it found: it says so in the arguments, which are those of fuzz/main.c.
. "$(dirname "$0")/lib.sh"

need tc fuzzer
load_modules
if [ $# -gt 0 ]; then
	fuzzer "$@"
	exit
fi

# As many as a minute or two are enough for; where they are not, as many as there is time for.
for seed in 1 2 3; do
	succeeds "seed $seed" fuzzer -s $seed -n 28 -p 500 -t 60 -k 60
	[ "$failed" -eq 0 ] || break
done
