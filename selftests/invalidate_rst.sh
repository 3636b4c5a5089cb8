#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A TCP RST: what follows goes through the ruleset, and a new connection is taken up.
. "$(dirname "$0")/invalidate.sh"

begin
attempts "TCP RST, ipv4" one_end flags=0x14 back4 "${ipv4[@]}"
attempts "TCP RST, ipv6" one_end flags=0x14 back6 "${ipv6[@]}"
