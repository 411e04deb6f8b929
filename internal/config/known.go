package config

import (
	"slices"
	"strings"
	"sync"
)

// Why Flink's keys have no effect in Weir: the first because Weir is made
// otherwise, the last because this version of Weir does not have the part.
const (
	noJVM         = "Weir has no JVM"
	noMetaspace   = "Weir has no JVM: what Flink sets apart for metaspace is heap"
	noFramework   = "Weir has no framework memory: the daemon is a process of its own, see taskmanager.memory.overhead.fraction"
	noOffHeap     = "user code in Go has no off-heap memory: all of it is heap"
	noOldSizes    = "this key of Flink before 1.10 has no exact counterpart: set taskmanager.memory.process.size or .flink.size"
	noMasterSizes = "the JobManager runs no user code and does not limit its own memory: limit its process or container"
	noMemoryLog   = "a TaskManager logs the division of its memory once, when it starts"
	noPekko       = "Weir speaks gRPC, not Pekko"
	noNetty       = "Weir's data connections are not Netty's and have no such setting"
	noRPCPort     = "a TaskManager of Weir opens its connection to the JobManager itself and listens on no RPC port"
	noBindPort    = "a worker is reached at the port that it listens on, see taskmanager.data.port"
	noBindPolicy  = "a TaskManager is reached at taskmanager.host"
	noLookup      = "the JobManager looks up no host names of TaskManagers"
	noMasterName  = "the JobManager has no name of its own"
	noFailures    = "Weir notices a closed connection at once and does not count failures"
	noSlotTimeout = "slots are handed over on the TaskManager's one stream and cannot go stale"
	noPools       = "Weir has no thread pools"
	noCores       = "a worker uses as many cores as it holds slots"
	noUncaught    = "a panic fails its task, with its stack, and ends only that job's worker"
	noOutput      = "the output of a job's processes is kept in a log file per job"
	noRepeats     = "a task of Weir is asked to stop once: there is no thread to interrupt again, see task.cancellation.timeout"
	noTimers      = "stopping a task or a daemon of Weir waits for no threads"
	noSpilling    = "Weir runs streaming jobs: a bounded job is a stream that ends, and nothing is stored between tasks"
	noOverdraft   = "Weir has no such limit within a gate's or partition's buffers"
	noDebloating  = "Weir does not resize buffers: set taskmanager.memory.segment-size or the buffers per channel and gate"
	noManager     = "Weir asks no resource manager for TaskManagers: start as many as there should be"
	noKeyGroups   = "Weir always has 65536 key groups, so any parallelism can be reached"
	noKryo        = "Weir compiles a codec for each Go type and has no other serializers"
	noClasses     = "a job of Weir is one executable, with no jars, plugins and class loaders"
	noModes       = "Weir has no application mode: a job is submitted to a running cluster"
	noListeners   = "Weir has no listeners for jobs: watch them through the JobManager's gRPC service"
	noCodeRules   = "what a job's code sets is always above the configuration"
	noReuse       = "Weir passes batches of values and has no switch for copying"
	noNames       = "Weir has one form of task names and descriptions"
	noUIDs        = "an operator's ID comes from the job's code, or from its name and place"
	noParameters  = "a job of Weir has command line arguments"
	noFiles       = "Weir has no distributed cache"
	noTable       = "Weir has no SQL, Table or Python API"
	noStores      = "Weir reads certificates and keys from PEM files: see security.ssl.certificate-file, .key-file and .ca-file"
	noCiphers     = "Weir uses the versions and ciphers of TLS that Go's library takes for safe"
	noKerberos    = "Weir has no Kerberos and no delegation tokens"
	noHadoop      = "Weir has no Hadoop"
	noBlobs       = "artefacts travel over the JobManager's own port and have no server of their own"
	noHeartbeats  = "a client of Weir has no heartbeat: a job does not depend on who submitted it"
	noScripts     = "Weir has no start scripts"
	noTarget      = "the command line submits to the JobManager at jobmanager.rpc.address"
	noMini        = "the number of TaskManagers is an argument of weir local"
	noQueries     = "Weir has no queryable state"
	noResources   = "Weir has no external resources"
	noRegions     = "Weir restarts all tasks of a job together"
	noStoreType   = "the JobManager has one way of keeping ended jobs"

	noAlignment  = "Weir always aligns each split by itself; a group is named in code, by WithAlignment"
	noAdaptive   = "this version of Weir rebalances in turn, not by load"
	noSavepoints = "this version of Weir has no savepoints"
	noUnaligned  = "this version of Weir aligns barriers in every case"
	noSnapshots  = "this version of Weir writes all of a task's state with each checkpoint, in one file"
	noChoice     = "checkpoints of Weir always do so"
	noBackends   = "this version of Weir keeps state in memory only"
	noHA         = "this version of Weir has one JobManager"
	noREST       = "this version of Weir has no REST API and no dashboard"
	noMetrics    = "this version of Weir has no metrics reporters"
	noObjects    = "this version of Weir reads and writes local files only"
	noScaling    = "this version of Weir does not change the parallelism of a running job"
)

// flinkGroup are keys of Flink that share the reason for which they have no
// effect.
type flinkGroup struct {
	reason string
	// keys are separated by space. A key that ends in a dot stands for all keys
	// that begin with it.
	keys string
}

// flinkGroups are Flink's keys, of the versions 1.17 to 2.x and some that are
// older, apart from those that are options of Weir.
var flinkGroups = []flinkGroup{
	{noJVM, `env.java. taskmanager.jvm-exit-on-oom jmx. cluster.intercept-user-system-exit
		cluster.processes.halt-on-fatal-error cluster.thread-dump.stacktrace-max-depth`},
	{noMetaspace, `taskmanager.memory.jvm-metaspace.size jobmanager.memory.jvm-metaspace.size`},
	{noFramework, `taskmanager.memory.framework.`},
	{noOffHeap, `taskmanager.memory.task.off-heap.size taskmanager.memory.off-heap taskmanager.memory.preallocate`},
	{noOldSizes, `taskmanager.heap.size taskmanager.heap.mb taskmanager.memory.fraction`},
	{noMasterSizes, `jobmanager.memory. jobmanager.heap.size jobmanager.heap.mb`},
	{noMemoryLog, `taskmanager.debug.memory.`},
	{noPekko, `pekko. akka. taskmanager.exit-on-fatal-akka-error`},
	{noNetty, `taskmanager.network.netty. taskmanager.network.request-backoff. taskmanager.network.partition-request-timeout
		taskmanager.network.retries taskmanager.network.max-num-tcp-connections taskmanager.network.tcp-connection.
		taskmanager.network.detailed-metrics taskmanager.network.credit-model taskmanager.net.`},
	{noRPCPort, `taskmanager.rpc.`},
	{noBindPort, `taskmanager.data.bind-port`},
	{noBindPolicy, `taskmanager.network.bind-policy`},
	{noLookup, `jobmanager.retrieve-taskmanager-hostname`},
	{noMasterName, `jobmanager.resource-id`},
	{noFailures, `heartbeat.rpc-failure-threshold`},
	{noSlotTimeout, `taskmanager.slot.timeout slot.idle.timeout slot.request.max-interval`},
	{noPools, `jobmanager.io-pool.size jobmanager.future-pool.size cluster.io-pool.size`},
	{noCores, `taskmanager.cpu.cores`},
	{noUncaught, `cluster.uncaught-exception-handling`},
	{noOutput, `taskmanager.system-out.`},
	{noRepeats, `task.cancellation.interval`},
	{noTimers, `task.cancellation.timers.timeout cluster.services.shutdown-timeout`},
	{noSpilling, `execution.runtime-mode execution.batch. execution.batch-shuffle-mode execution.sort. execution.sorted-inputs.enabled
		taskmanager.network.sort-shuffle. taskmanager.network.blocking-shuffle. taskmanager.network.batch-shuffle.
		taskmanager.network.hybrid-shuffle. taskmanager.network.compression.codec taskmanager.network.memory.read-buffer.
		taskmanager.memory.min-segment-size taskmanager.memory.starting-segment-size taskmanager.runtime.
		jobmanager.adaptive-batch-scheduler. jobmanager.partition. slow-task-detector. shuffle-service-factory.class job-event. compiler.`},
	{noOverdraft, `taskmanager.network.memory.max-buffers-per-channel taskmanager.network.memory.max-overdraft-buffers-per-gate`},
	{noDebloating, `taskmanager.network.memory.buffer-debloat.`},
	{noManager, `resourcemanager. slotmanager. kubernetes. yarn. mesos. containerized. fine-grained.
		cluster.fine-grained-resource-management.enabled`},
	{noResources, `external-resources external-resource.`},
	{noRegions, `jobmanager.execution.failover-strategy`},
	{noStoreType, `jobstore.type jobstore.cache-size`},
	{noKeyGroups, `pipeline.max-parallelism pipeline.operator-chaining.chain-operators-with-different-max-parallelism`},
	{noKryo, `pipeline.generic-types pipeline.force-avro pipeline.force-kryo pipeline.force-kryo-avro pipeline.serialization-config
		pipeline.default-kryo-serializers pipeline.registered-kryo-types pipeline.registered-pojo-types pipeline.auto-type-registration`},
	{noClasses, `pipeline.jars pipeline.classpaths pipeline.closure-cleaner-level classloader. plugin. user.artifacts.`},
	{noModes, `execution.submit-failed-job-on-application-error execution.shutdown-on-application-finish execution.shutdown-on-attached-exit
		$internal.`},
	{noListeners, `execution.job-listeners execution.job-status-changed-listeners`},
	{noCodeRules, `execution.program-config.`},
	{noReuse, `pipeline.object-reuse`},
	{noNames, `pipeline.vertex-description-mode pipeline.vertex-name-include-index-prefix`},
	{noUIDs, `pipeline.auto-generate-uids`},
	{noParameters, `pipeline.global-job-parameters`},
	{noFiles, `pipeline.cached-files`},
	{noTable, `table. sql-client. sql-gateway. python. materialized-table. workflow-scheduler. collect-sink. taskmanager.collect-sink.`},
	{noStores, `taskmanager.data.ssl.enabled security.ssl.internal.keystore security.ssl.internal.keystore-password
		security.ssl.internal.keystore-type security.ssl.internal.key-password security.ssl.internal.truststore
		security.ssl.internal.truststore-password security.ssl.internal.truststore-type security.ssl.keystore
		security.ssl.keystore-password security.ssl.key-password security.ssl.truststore security.ssl.truststore-password`},
	{noCiphers, `security.ssl.algorithms security.ssl.protocol security.ssl.provider security.ssl.verify-hostname
		security.ssl.internal.cert.fingerprint security.ssl.internal.session-cache-size security.ssl.internal.session-timeout
		security.ssl.internal.handshake-timeout security.ssl.internal.close-notify-flush-timeout`},
	{noKerberos, `security.kerberos. security.delegation. security.context. security.module. zookeeper.sasl.`},
	{noHadoop, `env.hadoop.conf.dir env.hbase.conf.dir env.yarn.conf.dir`},
	{noBlobs, `blob.`},
	{noHeartbeats, `client.heartbeat. client.retry-period`},
	{noScripts, `env.pid.dir env.ssh.opts env.log.max env.log.level env.stdout-err.redirect-to-file`},
	{noTarget, `execution.target`},
	{noMini, `minicluster.`},
	{noQueries, `queryable-state. query.`},
	{noAlignment, `pipeline.watermark-alignment.`},
	{noAdaptive, `taskmanager.network.adaptive-partitioner.`},
	{noSavepoints, `execution.checkpointing.savepoint-dir state.savepoints.dir execution.savepoint. execution.savepoint-restore-mode
		execution.state-recovery.`},
	{noUnaligned, `execution.checkpointing.unaligned execution.checkpointing.unaligned. execution.checkpointing.aligned-checkpoint-timeout
		execution.checkpointing.alignment-timeout execution.checkpointing.force-unaligned execution.checkpointing.recover-without-channel-state.
		execution.checkpointing.during-recovery. task.checkpoint.`},
	{noSnapshots, `execution.checkpointing.incremental execution.checkpointing.storage execution.checkpointing.data-inline-threshold
		execution.checkpointing.write-buffer-size execution.checkpointing.snapshot-compression execution.checkpointing.file-merging.
		execution.checkpointing.local-backup. execution.checkpointing.local-copy. execution.checkpointing.cleaner. dstl. sink.committer.
		state.checkpoint-storage state.checkpoint.cleaner. state.storage. state.backend.incremental state.checkpoints.create-subdir state.ttl.`},
	{noChoice, `execution.checkpointing.checkpoints-after-tasks-finish.enabled execution.checkpointing.checkpoints-after-tasks-finish
		execution.checkpointing.create-subdir execution.checkpointing.interval-during-backlog execution.checkpointing.prefer-checkpoint-for-recovery`},
	{noBackends, `state.backend state.backend. state.changelog. state.latency-track. state.size-track.
		taskmanager.memory.managed.consumer-weights`},
	{noHA, `high-availability high-availability. recovery. job-result-store. application-result-store. cleanup-strategy cleanup-strategy.`},
	{noREST, `rest. web. historyserver. security.ssl.rest. jobmanager.web. jobmanager.archive. jobmanager.failure-enrichers
		jobmanager.execution.attempts-history-size`},
	{noMetrics, `metrics. traces. events.`},
	{noObjects, `fs. s3. presto.s3. gs.`},
	{noScaling, `scheduler-mode jobmanager.scheduler jobmanager.adaptive-scheduler. pipeline.jobvertex-parallelism-overrides job.autoscaler.`},
}

// flinkOnly returns why a key of Flink has no effect, or nothing where the key
// is not one. A map of Flink's may be spelled as nested keys.
func flinkOnly(name string) string {
	index := flinkIndex()
	if reason, ok := index.exact[name]; ok {
		return reason
	}
	for at := len(name) - 1; at > 0; at-- {
		if name[at] != '.' {
			continue
		}
		if reason, ok := index.prefixes[name[:at+1]]; ok {
			return reason
		}
		if reason, ok := index.exact[name[:at]]; ok {
			return reason
		}
	}
	return ""
}

// flinkKeys returns the exact keys among Flink's, sorted.
func flinkKeys() []string { return flinkIndex().sorted }

type flinkTable struct {
	exact, prefixes map[string]string
	sorted          []string
}

var flinkIndex = sync.OnceValue(func() *flinkTable {
	t := &flinkTable{exact: map[string]string{}, prefixes: map[string]string{}}
	for _, group := range flinkGroups {
		for name := range strings.FieldsSeq(group.keys) {
			if strings.HasSuffix(name, ".") {
				t.prefixes[name] = group.reason
				continue
			}
			t.exact[name] = group.reason
			t.sorted = append(t.sorted, name)
		}
	}
	slices.Sort(t.sorted)
	return t
})

// isSection reports whether any known key is below a name.
func isSection(name string) bool {
	below := name + "."
	if flinkOnly(below+"x") != "" {
		return true
	}
	for _, names := range []map[string]string{flinkIndex().exact, flinkIndex().prefixes} {
		for known := range names {
			if strings.HasPrefix(known, below) {
				return true
			}
		}
	}
	for _, k := range keys().sorted {
		if strings.HasPrefix(k.Name, below) {
			return true
		}
		if slices.ContainsFunc(k.Deprecated, func(old string) bool { return strings.HasPrefix(old, below) }) {
			return true
		}
	}
	return false
}
