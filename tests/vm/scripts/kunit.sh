# SPDX-License-Identifier: GPL-2.0-or-later
# The KUnit tests have run at boot (kunit.enable=1), where a multithreaded job of padata may use all CPUs.
# On a running system it may use as many as the administrator lets it.
percent=/proc/sys/kernel/padata_mt_max_cpu_percent
suite=/sys/kernel/debug/kunit/padata_mt

# padata_test_parallel() waits in one chunk of a job until a helper has begun another.  Who shares a job with
# helpers works through padata_mt_helper() as they do, who has none does not.
waits_in_vain() {
	stack=$(grep -ls padata_test_parallel /proc/[0-9]*/stack)
	[ -n "$stack" ] && grep -Eq "padata_(do_multithreaded|mt_do_chunk)" "$stack" && ! grep -q padata_mt_helper "$stack"
}

must_equal "percent" "$(cat $percent)" 80
for wrong in 0 101 -1; do
	! echo $wrong >$percent || fail "$wrong percent of the CPUs"
done
for right in 80 100; do
	echo $right >$percent
	must_equal "percent" "$(cat $percent)" $right
	echo >$suite/run
	must grep '^ok 1 padata_mt' $suite/results
done

echo 1 >$percent
echo >$suite/run &
wait_for 20 waits_in_vain || fail "a job has helpers though 1 percent of the CPUs is none but the caller's"
done_ok
