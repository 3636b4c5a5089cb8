# SPDX-License-Identifier: GPL-2.0-only
# gnuplot -e "dir='...'; out='...'" plot.gp

set terminal svg size 960,420 font "sans-serif,12" noenhanced background "#ffffff"
set output out
set datafile missing "?"
set multiplot layout 1,2
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror

set title "instructions per packet, above an XDP redirect"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set yrange [0:*]
set key top right reverse Left
set xtics rotate by -20 offset -2,0
plot dir.'/bars' using 2:xtic(1) title "UDP, IPv4, NAT" lc rgb "#1b6ca8", \
     '' using 3 title "UDP, IPv6, NAT" lc rgb "#6fb1d6", \
     '' using 4 title "TCP, IPv4, NAT" lc rgb "#2a9d5c", \
     '' using 5 title "UDP, IPv4, NAT, tag" lc rgb "#d98c21"

unset style
set title "nanoseconds of a lookup, flows in random order"
set style data linespoints
set key top left reverse Left
set logscale x 2
set xlabel "flows"
set xrange [512:8388608]
set xtics norotate ("1 k" 1024, "64 k" 65536, "1 M" 1048576, "4 M" 4194304)
plot dir.'/lines' using 1:2 title "flowtable and NAT" lw 2 lc rgb "#b0413e", \
     '' using 1:3 title "BPF hash map" lw 2 lc rgb "#888888", \
     '' using 1:4 title "flowmap, pull" lw 2 lc rgb "#6fb1d6", \
     '' using 1:5 title "flowmap, push" lw 2 lc rgb "#1b6ca8"
