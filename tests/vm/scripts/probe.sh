# SPDX-License-Identifier: GPL-2.0-or-later
# Does an L1 come up, and can it run guests?
[ -e /dev/kvm ] || fail "no /dev/kvm in L1"
done_ok
