#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A TCP FIN: what follows goes through the ruleset, and a new connection is taken up.
. "$(dirname "$0")/invalidate.sh"

begin
attempts "TCP FIN, ipv4" one_end flags=0x11 back4 "${ipv4[@]}"
attempts "TCP FIN, ipv6" one_end flags=0x11 back6 "${ipv6[@]}"
