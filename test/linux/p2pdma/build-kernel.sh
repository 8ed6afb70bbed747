#!/bin/sh
# Builds the kernel of the P2PDMA guest: Debian's 6.12 source, unmodified, with the options beside this file and
# everything built in. Debian or a relative, as a user who may install packages; about 15 minutes on two cores.
#   build-kernel.sh FOLDER     leaves FOLDER/bzImage-6.12-p2pdma; name it in PEERBUF_P2PDMA_KERNEL
set -eu
options=$(cd "$(dirname "$0")" && pwd)/kernel-options.config
folder=${1:?name a folder to build in}
apt-get install -y --no-install-recommends linux-source-6.12 build-essential flex bison bc libelf-dev libssl-dev xz-utils
mkdir -p "$folder"
cd "$folder"
tar --extract --xz --strip-components=1 --file /usr/src/linux-source-6.12.tar.xz
make tinyconfig
scripts/kconfig/merge_config.sh -m .config "$options"
make olddefconfig
make -j"$(nproc)" bzImage
cp arch/x86/boot/bzImage bzImage-6.12-p2pdma
echo "PEERBUF_P2PDMA_KERNEL=$PWD/bzImage-6.12-p2pdma"
