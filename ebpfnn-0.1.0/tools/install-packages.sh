#!/bin/sh
# install-packages.sh PACKAGE...: installs those Debian packages whose purpose nothing on this machine serves yet.
set -eu

served() {
	case $1 in
	clang) command -v "${CLANG:-clang}" >/dev/null ;;
	python3-venv) "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null ;;
	linux-source) ls /usr/src/linux-source-*.tar.xz >/dev/null 2>&1 ;;
	libbpf-dev) test -e /usr/include/bpf/bpf_helpers.h ;;
	iproute2) command -v ip >/dev/null ;;
	qemu-system-x86) command -v qemu-system-x86_64 >/dev/null ;;
	virtiofsd) test -x /usr/lib/qemu/virtiofsd || test -x /usr/libexec/virtiofsd ;; # of qemu-system-common up to bookworm
	busybox-static) test -x /bin/busybox && ! ldd /bin/busybox >/dev/null 2>&1 ;;
	xz-utils) command -v xz >/dev/null ;;
	libc6-dev) test -e /usr/include/stdio.h ;;
	*) command -v "$1" >/dev/null || test -x "/usr/sbin/$1" ;;
	esac
}

missing=
for package in "$@"; do
	served "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "install-packages: as root, apt-get install$missing" >&2
	exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
