#!/bin/busybox sh
# The guest's first process: loads modules, takes the host's files read-only and the repository, runs one
# command in them, and says how it ended. The last line is what the host waits for.
/bin/busybox mkdir -p /proc /sys /dev /host
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module parameters; do insmod "/modules/$module" $parameters || echo "guest: $module did not load"; done < /modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose host /host || { echo "PEERBUF-GUEST-EXIT 99"; poweroff -f; }
for place in tmp run root; do mount -t tmpfs tmpfs "/host/$place"; done
mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t debugfs debugfs /host/sys/kernel/debug
mount -t devtmpfs dev /host/dev
mkdir -p /host/dev/shm && mount -t tmpfs tmpfs /host/dev/shm
. /task
take() { mkdir -p "/host$2" && mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose "$1" "/host$2"; }
take tree "$TREE"
# Node may live where it is empty now, as below /root.
[ -e "/host$NODE_HOME/bin/node" ] || take node "$NODE_HOME"
# Packages of the guest's own processor lie over those of the host.
[ -z "$NODE_MODULES" ] || take modules "$NODE_MODULES"
ip link set lo up
# Tests wait for thousands of descriptors at once.
ulimit -n 65536
export TREE HOST_PATH
chroot /host /bin/sh -c "cd \"\$TREE\" && export HOME=/root PATH=\"\$HOST_PATH\" && $COMMAND"
echo "PEERBUF-GUEST-EXIT $?"
poweroff -f
