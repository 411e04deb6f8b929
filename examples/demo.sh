#!/usr/bin/env bash
# Runs an example job on a cluster of three processes on this machine: a
# JobManager and two TaskManagers, as they would run on three hosts. Everything
# it starts listens on loopback, keeps its files in one temporary directory, and
# is gone at the end. `make demo` builds the binaries and calls it.
#
#   BIN   where jobmanager, taskmanager and weir are (default: bin)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOTOOLCHAIN=auto

bin=${BIN:-bin}
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-demo.XXXXXX")
pids=()
names=()

stop() {
	# In the reverse order of their start: the JobManager last.
	local i
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill -TERM "${pids[i]}" 2>/dev/null || true
	done
	for ((i = 0; i < 100; i++)); do
		[ -n "$(jobs -pr)" ] || break
		sleep 0.1
	done
	for i in $(jobs -pr); do
		kill -KILL "$i" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND ARGUMENTS...
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 &
	pids+=($!)
	names+=("$name")
}

# await NAME PATTERN PID: waits for a line in a log, and prints it.
await() {
	local line i
	for ((i = 0; i < 600; i++)); do
		if line=$(grep -s -m 1 -e "$2" "$work/$1.log"); then # the log may not be there yet
			printf '%s\n' "$line"
			return
		fi
		kill -0 "$3" 2>/dev/null || break
		sleep 0.05
	done
	{
		echo "demo: $1 did not start. Its log:"
		cat "$work/$1.log"
	} >&2
	return 1
}

for binary in jobmanager taskmanager weir; do
	[ -x "$bin/$binary" ] || { echo "demo: $bin/$binary is missing: run make build" >&2; exit 1; }
done

echo "1. Start a JobManager, and two TaskManagers with two slots each."
echo
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$work/credential")
cat >"$work/weir.yaml" <<YAML
jobmanager.rpc.port: 0                # any free port
taskmanager.numberOfTaskSlots: 2
security.credential.file: $work/credential
process.working-dir: $work
YAML
export WEIR_CONF_DIR=$work

start jobmanager "$bin/jobmanager"
ready=$(await jobmanager 'msg=ready ' "${pids[0]}")
address=${ready##*address=}
port=${address##*:}
for i in 1 2; do
	start "taskmanager-$i" "$bin/taskmanager" -D "jobmanager.rpc.port=$port" -D "taskmanager.resource-id=taskmanager-$i"
done
for i in 1 2; do
	await "taskmanager-$i" 'msg="registered with the JobManager"' "${pids[i]}" >/dev/null
done
for i in "${!pids[@]}"; do
	printf '   %-14s process %s%s\n' "${names[i]}" "${pids[i]}" "$([ "$i" = 0 ] && echo ", at $address")"
done

flights=$PWD/examples/latedepartures/us-flights-2001-01.csv.gz
busy=50
shown=0
echo
echo "2. Submit a job that reads the 508,239 flights of January 2001 in the US and tells, for each airport and"
echo "   hour with at least $busy departures, how late the flights arrived on average:"
echo
echo "   \$ weir run -m $address -p 4 ./examples/latedepartures -min-departures $busy $(basename "$flights")"
echo
"$bin/weir" run -m "$address" -p 4 ./examples/latedepartures -min-departures "$busy" "$flights" >"$work/results"

results=$(grep -c '^{' "$work/results" || true)
echo
echo "3. The job printed $results results. The ten worst hours:"
echo
printf '   %-8s %-17s %11s %18s\n' airport hour departures 'mean delay (min)'
pattern='"airport":"([^"]*)","hour":"([^"]*)","departures":([0-9]+),"mean_delay_min":(-?[0-9.]+)'
while IFS= read -r line; do
	[[ $line =~ $pattern ]] || continue
	printf '%s %s %s %s\n' "${BASH_REMATCH[4]}" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
done <"$work/results" | LC_ALL=C sort -k1,1 -rn | while read -r delay airport hour departures; do
	((shown++ < 10)) || continue
	printf '   %-8s %-17s %11s %18s\n' "$airport" "${hour/T/ }" "$departures" "$delay"
done
echo
[ "$results" -gt 0 ] || { echo "demo: there are no results" >&2; exit 1; }

echo "4. What weir said about it, and what each of the job's tasks did:"
echo
grep -v '^{' "$work/results" | sed 's/^/   /'
echo
echo "   \$ weir list -m $address --all --verbose"
echo
"$bin/weir" list -m "$address" --all --verbose | sed 's/^/   /'
echo
echo "5. Stop the cluster. Start one for yourself with: $bin/weir local"
