// Package metastore keeps what a JobManager must find again after its death: its
// jobs, the pointers to their checkpoints and the counters of checkpoint ids, the
// sessions of TaskManagers that were revoked, the cluster's id. It is where a
// checkpoint becomes complete: by one guarded transaction.
//
// # Its room
//
// The JobManager opens a [Store], campaigns, and writes through the [Leadership]; it
// decides what the keys mean. A key is a path ("jobs/<id>/record"), a value is bytes.
// The package knows no job, no message and no configuration file; [Config] names the
// keys of the configuration that its fields come from. It imports Pebble and etcd's
// client, which nothing else of the JobManager does.
//
// # Main types
//
//   - [Store]: [Store.Get], [Store.List], [Store.Campaign].
//   - [Leadership]: the time in which this process leads; [Leadership.Commit] applies a
//     [Transaction], [Leadership.Allocate] gives numbers, [Leadership.Settle] answers
//     about a transaction whose answer was lost.
//   - local: a directory of this machine, for high-availability.type none. An flock
//     keeps other processes out, Pebble keeps the data, every transaction is synced. A
//     file beside Pebble has the last revision that was acknowledged.
//   - etcd: etcd, for high-availability.type etcd. Candidates hold a lease each; the
//     one whose key is oldest leads, and the key's create revision is its epoch.
//
// Both stand behind one interface, backend, of this package.
//
// # Life cycle
//
// [Open] → [Store.Campaign] → [Leadership.Commit] … until [Leadership.Lost] is closed →
// campaign again, or [Store.Close]. A local store is locked from Open to Close, and is
// read and written by that process only; in etcd everyone reads, and the leader writes.
// A JobManager that loses its leadership must not go on with what it had decided.
//
// # Ambiguous answers
//
// A transaction whose answer was lost may have been applied, may be on its way still,
// or may be gone. Neither a retry nor an error is right then: the job's files would be
// deleted though the store names them, or a pointer be written twice. So each
// transaction to etcd compares and replaces the name of the last one; whoever wants to
// know takes the name away, after which the lost transaction cannot apply any more
// (etcdcommit.go has the cases). The store does so by itself, sends a transaction again
// that was not applied, and returns [ErrAmbiguous] only when it cannot ask either. Until
// that is settled no other transaction is sent, so none is overtaken by an older one.
//
// # Concurrency
//
// All methods of Store and Leadership may be called concurrently. Transactions of a
// leadership are applied one after another: one round trip to etcd, or two syncs of the
// disk, each; reads do not wait for them. A store owns a few goroutines, one of which
// renews the lease; Close waits for them.
//
// Every request is bounded by the request timeout beside its context. After a context
// has ended, Commit takes up to one such timeout more to find out what became of the
// transaction.
//
// # Invariants
//
//   - S1: a transaction is applied as a whole or not at all, and only if all its
//     conditions hold and its leadership's epoch leads, which the store compares in the
//     same transaction.
//   - S2: an error other than [ErrAmbiguous] means that a transaction was not applied
//     and never will be, nil that it was applied once.
//   - S3: a transaction that returned nil is seen by every Get and List that begins
//     later, also after the death of any process or machine whose disk is intact.
//   - S4: at each moment at most one leadership can write. Epochs rise.
//   - S5: Lost is closed before another leadership begins, as far as this process runs
//     and clocks run at one speed; S1 does not depend on it.
//   - S6: the revisions of two transactions differ, and rise.
//   - S7: Allocate never returns a number twice for a counter whose key is not deleted.
//   - S8: nothing that cannot be read is deleted or overwritten.
//   - S9: at most one transaction of a leadership is not settled, and no later one is
//     sent before it is.
//
// # Errors
//
// Each error is of one of the kinds in errors.go, with a text that says what to do. An
// etcd that answers with an older revision than before, or is another cluster, was
// restored from a backup: [ErrCorrupt].
//
// A disk that is nearly full refuses transactions before they begin. A write-ahead log
// or a flush that fails all the same ends the local store: the leadership is lost, all
// calls return [ErrUnavailable], and the process has to end, since Pebble cannot be
// closed any more; the next process reads what the log holds.
//
// # Testing
//
// suite_test.go is the conformance suite and runs for both implementations, etcd being
// a real server in the test's process; model_test.go compares random operations with a
// map. etcd_test.go puts a proxy in between that drops answers, keeps requests back and
// breaks connections. crash_test.go kills writing processes and loses what was not
// synced; local_test.go flips bits in all files.
package metastore
