#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two routers that are alike but for XDP do the same with packets and configurations that come from a seed; see fuzz/fuzz.h. "make
# fuzz" gives more time to it, and replays what it found: it says so in the arguments, which are those of fuzz/main.c.
. "$(dirname "$0")/lib.sh"

need bridge tc fuzzer
load_modules
if [ $# -gt 0 ]; then
	fuzzer "$@"
	exit
fi

# As many configurations as two minutes are enough for: all classes in turn. With this seed each of faults/ shows.
succeeds "the routers do the same" fuzzer -s 26 -p 250 -t 120 -k 60
