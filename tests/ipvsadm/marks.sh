#!/bin/sh
# HTTP and HTTPS of one client to one server, by a mark that the firewall gives.
ipvsadm -C
ipvsadm -A -f 1 -s rr -p 1800 -M 255.255.255.0
for server in 10.0.0.11 10.0.0.12; do
    ipvsadm -a -f 1 -r $server:0 -g
done
if ipvsadm -A -f 1 2>/dev/null; then
    echo "a mark has two services"
fi
