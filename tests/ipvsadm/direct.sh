#!/bin/sh
# Direct routing with persistence, and a server taken out and put back: the chores of a day.
set -e
VIP=192.0.2.10:80
ipvsadm -C
ipvsadm -A -t $VIP -s wrr -p 600
echo "-a -t $VIP -r 10.0.0.11 -g -w 100
-a -t $VIP -r 10.0.0.12 -g -w 100" | ipvsadm -R

# Out: no new connections, then gone once none is left.
ipvsadm -e -t $VIP -r 10.0.0.12 -g -w 0
while [ "$(ipvsadm -Ln -t $VIP | awk '$2 == "10.0.0.12:80" { print $5 + $6 }')" -gt 0 ]; do
    sleep 1
done
ipvsadm -d -t $VIP -r 10.0.0.12

# And back.
ipvsadm -a -t $VIP -r 10.0.0.12 -g -w 100
ipvsadm -Ln | awk '/->.*:80/ { sum += $4 } END { print "weights: " sum }'
ipvsadm-save -n >rules
ipvsadm -C
ipvsadm-restore <rules
