#!/usr/bin/env bash
# root.sh SUITE walls|none COMMAND: runs a shell COMMAND in a copy of this tree
# on a bare Debian SUITE, which has make and nothing else. It is made once, in
# build/roots. With "none" it is entered as a chroot, where the kernel refuses
# namespaces, as it does in most containers. Root's business.
. "$(dirname "$0")/common.sh"

suite=$1 walls=$2 command=$3
root=$PWD/build/roots/$suite
[ "$(id -u)" -eq 0 ] || die "root.sh makes a Debian root: that takes root."
command -v mmdebstrap >/dev/null || die "Install mmdebstrap first."

make_root() {
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  mmdebstrap --variant=minbase --include=ca-certificates,make \
    --aptopt='Acquire::Retries "5"' "$suite" "$root"
}

if [ ! -e "$root/src" ]; then
  quietly "build/roots/$suite.log" persistently make_root
  mkdir "$root/src" "$root/old"
fi

# What git knows of, as it is now. A copy whose files went away must not stay.
find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -r {} +
git ls-files -z --cached --others --exclude-standard |
  xargs -0 ls -d 2>/dev/null | tar -c -T - | tar -x -C "$root/src" --no-same-owner

# In namespaces of its own, so that whatever is left running ends with it.
# shellcheck disable=SC2016 # the inner shell's to expand
exec env root="$root" walls="$walls" command="$command" unshare --mount --pid --fork --kill-child --propagation private \
  bash -euc '
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in full null random tty urandom zero; do
  touch "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cd "$root"
into=(chroot .)
if [ "$walls" = walls ]; then
  pivot_root . old
  umount -l /old
  into=()
fi
exec "${into[@]}" /usr/bin/env -i HOME=/root TERM=dumb \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  WRENN_WERROR="${WRENN_WERROR:-OFF}" \
  sh -c "cd /src && $command"'
