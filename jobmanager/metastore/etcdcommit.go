package metastore

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A transaction and its answer.
//
// Each one compares, beside the conditions of the caller, the leader's key and the
// marker: the key that holds the name of this leader's last transaction. It writes
// its own name there. An answer that was lost is looked for by a transaction that
// compares the marker with the last name and replaces it by a name that says "not":
//
//   - It succeeds: the lost one was not applied, and cannot be any more, also if it
//     is still on its way, since the name that it compares is gone.
//   - It is refused, and the marker holds the lost one's name: that was applied, at
//     the marker's revision.
//   - It is refused, and the marker says "not": an earlier attempt to look has
//     succeeded, whose answer was lost too.
//
// Names are never used twice, so each of these requests may be repeated or arrive
// late.

// attempts is how often a transaction is sent that was found not to have been
// applied, as after a connection that broke.
const attempts = 3

func (t *etcdTerm) commit(ctx context.Context, id string, tx *Transaction) (Revision, error) {
	for n := 1; ; n++ {
		t.pending = fmt.Sprintf("%s.%d", id, n)
		r, err := t.e.txn(ctx, t.operation(tx))
		if err == nil && r.Succeeded {
			t.last = t.pending
			return Revision(r.Header.Revision), nil
		}
		if err == nil {
			return Absent, t.refused(r, tx)
		}
		if !ambiguous(err) {
			return Absent, t.e.failed(err, "commit")
		}
		// In time of its own: the answer is often lost because the caller's has ended.
		revision, settling := t.settle(context.WithoutCancel(ctx))
		switch {
		case settling != nil:
			return Absent, &AmbiguousError{Transaction: id, Cause: err, Settling: settling}
		case revision != Absent:
			return revision, nil
		case n == attempts || ctx.Err() != nil:
			return Absent, t.e.failed(err, "commit, %d times; it was not applied", n)
		}
	}
}

// operation is the transaction for etcd. If it is refused, what was compared is
// returned in the order of the comparisons.
func (t *etcdTerm) operation(tx *Transaction) clientv3.Op {
	compare := []clientv3.Cmp{t.leads(), clientv3.Compare(clientv3.Value(t.marker), "=", t.last)}
	writes := []clientv3.Op{clientv3.OpPut(t.marker, t.pending)}
	reads := []clientv3.Op{clientv3.OpGet(t.key, clientv3.WithKeysOnly()), clientv3.OpGet(t.marker)}
	data := t.e.prefix + dataKeys
	for _, c := range tx.conditions {
		compare = append(compare, clientv3.Compare(clientv3.ModRevision(data+c.key), "=", int64(c.want)))
		reads = append(reads, clientv3.OpGet(data+c.key, clientv3.WithKeysOnly()))
	}
	for _, w := range tx.writes {
		if w.delete {
			writes = append(writes, clientv3.OpDelete(data+w.key))
		} else {
			writes = append(writes, clientv3.OpPut(data+w.key, string(w.value)))
		}
	}
	return clientv3.OpTxn(compare, writes, reads)
}

// refused says why etcd refused the transaction.
func (t *etcdTerm) refused(r *clientv3.TxnResponse, tx *Transaction) error {
	leader := r.Responses[0].GetResponseRange().Kvs
	if len(leader) == 0 || leader[0].CreateRevision != t.number.Load() {
		err := failure(ErrNotLeader, nil, "etcd: the key of epoch %d is gone", t.number.Load())
		t.end(err)
		return err
	}
	for i, c := range tx.conditions {
		have := Absent
		if kvs := r.Responses[2+i].GetResponseRange().Kvs; len(kvs) != 0 {
			have = Revision(kvs[0].ModRevision)
		}
		if have != c.want {
			return &ConditionError{Key: c.key, Want: c.want, Have: have}
		}
	}
	err := failure(ErrCorrupt, nil, "etcd: key %s was changed by somebody else: %q, want %q",
		t.marker, r.Responses[1].GetResponseRange().Kvs, t.last)
	t.end(err)
	return err
}

// settle looks what became of the pending transaction until etcd answers, for the
// time of one request. It works also when others lead already: then the transaction
// is refused for its leader's key, or was applied before.
func (t *etcdTerm) settle(ctx context.Context) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, t.e.timeout)
	defer cancel()
	not := "not " + t.pending
	for {
		r, err := t.e.txn(ctx, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.Value(t.marker), "=", t.last)},
			[]clientv3.Op{clientv3.OpPut(t.marker, not)},
			[]clientv3.Op{clientv3.OpGet(t.marker)}))
		if err == nil {
			return t.settled(r, not)
		}
		if errors.Is(err, ErrCorrupt) {
			t.end(err)
		} else if ambiguous(err) {
			if t.e.pause(ctx) == nil {
				continue
			}
		}
		return Absent, t.e.failed(err, "find out about it")
	}
}

// settled reads the answer of settle's transaction.
func (t *etcdTerm) settled(r *clientv3.TxnResponse, not string) (Revision, error) {
	if r.Succeeded {
		t.last = not
		return Absent, nil
	}
	kvs := r.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return Absent, fmt.Errorf("more than %d leaders have followed, the name of the transaction was removed", keptTransactions)
	}
	switch string(kvs[0].Value) {
	case t.pending:
		t.last = t.pending
		return Revision(kvs[0].ModRevision), nil
	case not:
		t.last = not
		return Absent, nil
	default:
		err := failure(ErrCorrupt, nil, "etcd: key %s was changed by somebody else: %q", t.marker, kvs[0].Value)
		t.end(err)
		return Absent, err
	}
}
