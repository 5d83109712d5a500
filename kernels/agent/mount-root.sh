#!/bin/busybox sh
# The initramfs's init, where the root is a disk: inserts the modules, puts a writable layer over the root, and goes there.
# There is nothing here but busybox and links to it.

give_up() {
	echo "pathproof: $*"
	poweroff -f
}

mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
mount -t proc proc /proc

release=$(uname -r)
while read -r module parameters; do
	insmod "/lib/modules/$release/$module" $parameters || give_up "the module $module cannot be inserted"
done </modules

# The driver probes its devices in its own time.
tries=500
until [ -b /dev/vda ]; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || give_up 'there is no root disk'
	sleep 0.01
done

mkdir /lower /layer /new
mount -t erofs -o ro /dev/vda /lower || give_up 'the root disk cannot be mounted as erofs'
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /new || give_up 'the overlay cannot be mounted'
cp -a /pathproof /new
cp -a /lib/modules /new/usr/lib

exec switch_root /new /usr/bin/busybox sh /pathproof/init
