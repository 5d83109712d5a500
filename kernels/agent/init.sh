#!/usr/bin/busybox sh
# PID 1 of the guest: mounts, the loopback device, the agent. No udev, no systemd. The guest ends with its agent.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=linux

busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
busybox mkdir -p /dev/pts /dev/shm
busybox mount -t devpts devpts /dev/pts
busybox mount -t tmpfs tmpfs /dev/shm
busybox mount -t tmpfs tmpfs /tmp
busybox mount -t tmpfs tmpfs /run
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
busybox mount -t bpf bpf /sys/fs/bpf
busybox mount -t tracefs tracefs /sys/kernel/tracing
busybox mount -t debugfs debugfs /sys/kernel/debug

echo pathproof >/proc/sys/kernel/hostname
# The real one, so that it and its libraries are in the page cache of every fork.
ip link set lo up
ulimit -l unlimited
ulimit -n 65536

# Booting is quiet; from here on the console tells of warnings, which the host looks for.
echo 5 >/proc/sys/kernel/printk

read -r arguments </proc/cmdline
for argument in $arguments; do
	case $argument in
	pathproof.tty=*) tty=${argument#*=} ;;
	esac
done

/pathproof/bin/node /pathproof/kernels/agent/boot.mjs $tty &
agent=$!
# While it waits for this one, the shell reaps every orphan that became its child.
wait $agent
echo "pathproof: the agent ended with status $?"
busybox poweroff -f
