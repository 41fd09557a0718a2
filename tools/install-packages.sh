#!/bin/sh
# install-packages.sh PURPOSE...: installs those packages of Debian or Ubuntu whose purpose nothing on this machine serves yet. A
# purpose is a package's name in Debian.
set -eu

# Older clangs crash on relocations (CO-RE), or make objects that ebpfnn's tests do not take.
OLDEST_CLANG=16

served() {
	case $1 in
	clang) clang_is_new_enough ;;
	python3-venv) "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null ;;
	linux-source) ls /usr/src/linux-source-*.tar.xz >/dev/null 2>&1 ;;
	libbpf-dev) test -e /usr/include/bpf/bpf_helpers.h ;;
	iproute2) command -v ip >/dev/null ;;
	bpftool) PATH=$PATH:/usr/sbin bpftool version >/dev/null 2>&1 ;; # Ubuntu's finds out only then whether it fits the kernel
	qemu-system-x86) command -v qemu-system-x86_64 >/dev/null ;;
	systemd) command -v systemd-analyze >/dev/null ;;
	debian-archive-keyring) test -e /usr/share/keyrings/debian-archive-keyring.gpg ;;
	virtiofsd) test -x /usr/lib/qemu/virtiofsd || test -x /usr/libexec/virtiofsd ;; # of qemu-system-common up to bookworm
	busybox-static) test -x /bin/busybox && ! ldd /bin/busybox >/dev/null 2>&1 ;;
	dropbear-bin) command -v dropbear >/dev/null && command -v dropbearkey >/dev/null ;;
	nftables) command -v nft >/dev/null || test -x /usr/sbin/nft ;;
	bind9-dnsutils) command -v dig >/dev/null ;;
	xz-utils) command -v xz >/dev/null ;;
	libc6-dev) test -e /usr/include/stdio.h ;;
	*) command -v "$1" >/dev/null || test -x "/usr/sbin/$1" ;;
	esac
}

clang_is_new_enough() {
	major=$("${CLANG:-clang}" -dumpversion 2>/dev/null | cut -d. -f1)
	[ "${major:-0}" -ge "$OLDEST_CLANG" ]
}

# The packages that serve a purpose here, by what apt has on offer.
packages() {
	case $1 in
	clang)
		newest=$(apt-cache search --names-only '^clang-[0-9]+$' | cut -d' ' -f1 | sort -V | tail -n1)
		echo "${newest:-clang}"
		;;
	bpftool) # older Ubuntus have it among the kernel's tools
		if offered bpftool; then
			echo bpftool
		elif offered "linux-tools-$(uname -r)"; then
			echo "linux-tools-common linux-tools-$(uname -r)"
		else
			echo "linux-tools-common linux-tools-generic"
		fi
		;;
	*) echo "$1" ;;
	esac
}

offered() {
	LC_ALL=C apt-cache policy "$1" | grep -q '^  Candidate: [^(]'
}

missing=
for purpose in "$@"; do
	served "$purpose" || missing="$missing $purpose"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "install-packages: as root, apt-get install$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
wanted=
for purpose in $missing; do
	wanted="$wanted $(packages "$purpose")"
done
echo "installing$wanted"
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $wanted >/dev/null
