#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Watch pings cross two network namespaces through the forwarder while its worker dies again and
# again, is restarted, and the agent says so.
#
#   DEMO_SECONDS   how long to ping (default 20)
#   DEMO_PATIENCE  seconds in which the first ping must cross (default 10)
#   DEMO_LIFETIME  a worker leaves its loop within so many seconds of each launch (default 4)
#   DEMO_FAULT     what it does then: exit, spin, block or mix; hung workers are taken out of it
#                  (default exit)
#   DEMO_HUGE      1 = huge pages, 0 = none (default: huge pages if enough are free)
#   DEMO_BUILD     build directory with both programs (default: build, which is then made)
#
# Exits non-zero when no ping crossed or when a death went unreported.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
seconds=${DEMO_SECONDS:-20}
lifetime=${DEMO_LIFETIME:-4}
patience=${DEMO_PATIENCE:-10}
fault=${DEMO_FAULT:-exit}
pings_a_second=50

# Of this run only, so that it meets no other.
tag=$$
prefix="kademo$tag"
shm_name="/kademo$tag"
namespace=("kademo$tag-a" "kademo$tag-b")
interface=("kad${tag}p0" "kad${tag}p1")
address=(10.99.0.1 10.99.0.2)

forwarder_pid=""
agent_pid=""
ping_pid=""
labels=()
logs=""

say() {
	printf '%s\n' "demo      | $*"
}

fail() {
	printf '%s\n' "demo      | FAILED: $*" >&2
	exit 1
}

# Wait until a command succeeds: seconds, what it is about, the command.
wait_for() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "$what"
		sleep 0.02
	done
}

runs() {
	[ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

# End a child: TERM, and KILL when it does not obey. Its exit code is returned.
end_child() {
	local pid=$1 tries=0

	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || true
	while runs "$pid" && [ "$tries" -lt 250 ]; do
		sleep 0.02
		tries=$((tries + 1))
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null
}

clean_up() {
	local rc=$?

	trap '' INT TERM HUP
	trap - EXIT
	end_child "$ping_pid" || true
	end_child "$forwarder_pid" || true
	end_child "$agent_pid" || true
	[ ${#labels[@]} -eq 0 ] || wait "${labels[@]}" || true
	ip netns del "${namespace[0]}" 2>/dev/null || true
	ip netns del "${namespace[1]}" 2>/dev/null || true
	# Nothing is left of a forwarder that ended in order; this is for one that had to be killed.
	rm -rf "/dev/shm$shm_name" "/run/dpdk/$prefix"
	[ -z "$logs" ] || rm -rf "$logs"
	exit "$rc"
}

# Show the lines that come in under a label, and keep them. Ctrl-C is for others: the last lines
# must still come through.
label() {
	trap '' INT
	tee "$2" | sed -u "s/^/$1 | /"
}

# The CPUs that we may use, one a line.
cpus() {
	local list part
	list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
	for part in ${list//,/ }; do
		seq "${part%-*}" "${part#*-}"
	done
}

lcores() {
	local cpu
	mapfile -t cpu < <(cpus)
	echo "0@${cpu[0]},1@${cpu[1]:-${cpu[0]}}"
}

memory_options() {
	local free
	free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
	if [ "${DEMO_HUGE:-}" = 0 ] || { [ -z "${DEMO_HUGE:-}" ] && [ "$free" -lt 64 ]; }; then
		echo --no-huge -m 256
	else
		echo --in-memory
	fi
}

start_forwarder() {
	local memory out
	read -r -a memory <<<"$(memory_options)"
	# The driver finds fault with kernels that lack a queueing discipline which is not needed here.
	local command=("$DEMO_BUILD/l2fwd-keepalive" --no-pci "${memory[@]}" --lcores "$(lcores)"
		--file-prefix "$prefix" --log-level=pmd.net.tap:critical
		"--vdev=net_tap0,iface=${interface[0]}" "--vdev=net_tap1,iface=${interface[1]}" --
		-p 3 -K 5 -T 0 --demo-lifetime "$lifetime"
		--demo-fault "$fault" --on-hang respawn --max-restarts 1000/1 --shm-name "$shm_name")

	say "starting ${command[*]}"
	exec {out}> >(label "forwarder" "$logs/forwarder")
	labels+=($!)
	"${command[@]}" >&"$out" 2>&1 {out}>&- &
	forwarder_pid=$!
	exec {out}>&-
}

start_agent() {
	local out
	say "starting $DEMO_BUILD/ka-agent --verbose --shm-name $shm_name"
	exec {out}> >(label "agent    " "$logs/agent")
	labels+=($!)
	"$DEMO_BUILD/ka-agent" --verbose --shm-name "$shm_name" >&"$out" 2>&1 {out}>&- &
	agent_pid=$!
	exec {out}>&-
}

segment_is_there() {
	runs "$forwarder_pid" || fail "the forwarder ended; its lines above say why"
	[ -e "/dev/shm$shm_name" ]
}

forwarder_polls() {
	runs "$forwarder_pid" || fail "the forwarder ended; its lines above say why"
	grep -q 'entering main loop' "$logs/forwarder"
}

# Frames that leave by port N go to 02:00:00:00:00:0N: this is who lives behind it.
place_interfaces() {
	local port

	for port in 0 1; do
		ip link set dev "${interface[port]}" netns "${namespace[port]}"
		ip -n "${namespace[port]}" link set dev "${interface[port]}" \
			address "02:00:00:00:00:0$port" up
		ip -n "${namespace[port]}" address add "${address[port]}/24" dev "${interface[port]}"
	done
}

ping_crosses() {
	ip netns exec "${namespace[0]}" ping -q -c 1 -W 1 "${address[1]}" >/dev/null 2>&1
}

make_namespaces() {
	local name
	for name in "${namespace[@]}"; do
		ip netns add "$name"
		# The kernel's own chatter would be in the forwarder's counters.
		ip netns exec "$name" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
	done
}

ping_across() {
	say "pinging from ${namespace[0]} to ${namespace[1]} for $seconds s," \
		"$pings_a_second a second; Ctrl-C stops"
	# In the background, so that a signal is obeyed at once.
	ip netns exec "${namespace[0]}" ping -q -i "$(awk "BEGIN { print 1 / $pings_a_second }")" \
		-c "$(awk "BEGIN { print int($seconds * $pings_a_second) }")" -W 1 \
		"${address[1]}" >"$logs/ping" 2>&1 &
	ping_pid=$!
	wait "$ping_pid" || true
	ping_pid=""
}

# Sum of the numbers that an extended expression's first group finds in a log.
sum() {
	sed -nE "s/$1/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

count() {
	grep -cE "$1" "$2" || true
}

summary() {
	local agent_rc=$1 sent received deaths restarts recoveries reported longest

	sent=$(sum '^([0-9]+) packets transmitted.*' "$logs/ping")
	received=$(sum '.* ([0-9]+) received.*' "$logs/ping")
	deaths=$(count '^Dead core [0-9]+ - ' "$logs/forwarder")
	restarts=$(count '^ +core [0-9]+ restarted' "$logs/agent")
	# A worker that only got no CPU for a while moves again by itself.
	recoveries=$(count '^ +core [0-9]+ back after .* without a restart' "$logs/agent")
	reported=$(sum '^([0-9]+) dead cores:.*' "$logs/agent")
	reported=$((reported + $(sum '^([0-9]+) deaths? before this agent came:.*' "$logs/agent")))
	longest=$(sed -nE 's/^ +core [0-9]+ back after ([0-9.]+) ms.*/\1/p' "$logs/agent" |
		sort -n | tail -n 1)

	say ""
	say "pings sent       $sent"
	say "pings received   $received"
	say "pings lost       $((sent - received))"
	say "deaths           $deaths"
	say "restarts         $restarts"
	say "recoveries       $recoveries"
	say "agent reported   $reported"
	say "longest outage   ${longest:-0} ms"
	say ""
	[ "$received" -gt 0 ] || fail "no ping crossed"
	[ "$reported" -eq "$deaths" ] || fail "$deaths deaths, but the agent reported $reported"
	[ "$forwarder_rc" -eq 0 ] || fail "the forwarder's exit code is $forwarder_rc"
	[ "$agent_rc" -eq 0 ] || fail "the agent's exit code is $agent_rc"
	say "OK: pings crossed, and every death was reported."
}

if [ $# -gt 0 ]; then
	sed -n '4,/^set/s/^# \{0,1\}//p' "$0"
	case "$1" in
	-h | --help) exit 0 ;;
	*) exit 2 ;;
	esac
fi
awk "BEGIN { exit !($seconds + 0 > 0) }" || fail "DEMO_SECONDS must be a number above 0"
[[ $patience =~ ^[1-9][0-9]{0,5}$ ]] || fail "DEMO_PATIENCE must be a whole number above 0"

if [ -z "${DEMO_BUILD:-}" ]; then
	"$here/build.sh" demo hugepages || fail "the build; see above"
	DEMO_BUILD=$top/build
fi
if [ "$(id -u)" -ne 0 ]; then
	say "taps and namespaces take root: going on with sudo"
	exec sudo env DEMO_SECONDS="$seconds" DEMO_PATIENCE="$patience" DEMO_LIFETIME="$lifetime" \
		DEMO_FAULT="$fault" DEMO_HUGE="${DEMO_HUGE:-}" DEMO_BUILD="$DEMO_BUILD" "$here/demo.sh"
fi

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
logs=$(mktemp -d)

make_namespaces
start_forwarder
wait_for 20 "no segment $shm_name" segment_is_there
start_agent
wait_for 20 "no worker entered its loop" forwarder_polls
place_interfaces
wait_for "$patience" "no ping crossed within $patience s" ping_crosses
ping_across

# The agent ends by itself when the forwarder has gone.
forwarder_rc=0
agent_rc=0
end_child "$forwarder_pid" || forwarder_rc=$?
forwarder_pid=""
wait "$agent_pid" || agent_rc=$?
agent_pid=""
wait "${labels[@]}" || true
summary "$agent_rc"
