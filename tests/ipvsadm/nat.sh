#!/bin/sh
# A director by NAT, as start-up scripts have been written for LVS since its beginning.
IPVSADM=$(command -v ipvsadm)
VIP=192.0.2.10

$IPVSADM -C
for port in 80 443; do
    $IPVSADM -A -t $VIP:$port -s wlc
    for server in 11 12 13; do
        $IPVSADM -a -t $VIP:$port -r 10.0.0.$server:$port -m -w $((server - 10))
    done
done
$IPVSADM -A -u $VIP:domain -s rr
$IPVSADM -a -u $VIP:domain -r 10.0.0.14:domain -m
$IPVSADM --set 7200 60 120
if $IPVSADM -L -n | grep -q "^TCP  $VIP:80 wlc\$"; then
    echo "the director is up"
fi
