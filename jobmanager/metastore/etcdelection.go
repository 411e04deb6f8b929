package metastore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// keptTransactions is how many epochs keep the name of their last transaction, so
// that a leader that was deposed in the middle of one can still find out about it.
const keptTransactions = 64

// errLease is the end of a candidate before it leads.
var errLease = errors.New("the lease has ended")

// etcdTerm is a candidate and then the leader: a lease, and a key that lives as
// long as the lease. The key's create revision is the epoch. Of all candidates'
// keys the oldest leads.
type etcdTerm struct {
	e      *etcd
	lease  clientv3.LeaseID
	expiry time.Time // when the lease ends, if it is not renewed
	key    string
	// number is the epoch, 0 until this candidate leads.
	number atomic.Int64

	ended   chan struct{}
	ending  sync.Once
	err     error // set before ended is closed
	leaving sync.Once
	left    error

	// What follows belongs to commit and settle. marker is the key that holds the
	// name of the last transaction, last that name. pending is the name of the
	// transaction that has to be settled.
	marker, last, pending string
}

func (t *etcdTerm) epoch() uint64         { return uint64(t.number.Load()) }
func (t *etcdTerm) lost() <-chan struct{} { return t.ended }
func (t *etcdTerm) why() error            { return t.err }

// end ends the term for this process. The store may know nothing of it yet.
func (t *etcdTerm) end(why error) {
	t.ending.Do(func() {
		t.err = why
		close(t.ended)
	})
}

func (t *etcdTerm) resign(ctx context.Context) error { return t.leave(ctx, errors.New("resigned")) }

// leave ends the term and revokes the lease, which deletes the key.
func (t *etcdTerm) leave(ctx context.Context, why error) error {
	t.end(why)
	t.leaving.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, t.e.timeout)
		defer cancel()
		if _, err := t.e.client.Revoke(ctx, t.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.left = t.e.failed(err, "resign; the next leader has to wait up to %v", t.e.session)
		}
	})
	return t.left
}

func (e *etcd) campaign(ctx context.Context, candidate string) (term, error) {
	select {
	case e.leading <- struct{}{}:
	case <-e.group.Context().Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t, err := e.elect(ctx, candidate)
	if err == nil && !e.group.Go(func(context.Context) error { <-t.ended; <-e.leading; return nil }) {
		err = ErrClosed
	}
	if err != nil {
		<-e.leading
		return nil, err
	}
	return t, nil
}

// elect is a candidate until it leads. An etcd that does not answer is waited for.
func (e *etcd) elect(ctx context.Context, candidate string) (*etcdTerm, error) {
	for {
		t, err := e.elected(ctx, candidate)
		switch {
		case err == nil:
			return t, nil
		case ctx.Err() != nil:
			return nil, errors.Join(context.Cause(ctx), err)
		case errors.Is(err, errLease), errors.Is(err, ErrUnavailable):
			e.log.Warn("metadata store: no leader can be elected, trying again", "error", err)
			if err := e.pause(ctx); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

// pause waits before something is tried again.
func (e *etcd) pause(ctx context.Context) error {
	timer := time.NewTimer(min(e.session, e.timeout) / 20)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-e.group.Context().Done():
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// elected makes one candidate and waits until it leads.
func (e *etcd) elected(ctx context.Context, candidate string) (*etcdTerm, error) {
	t, err := e.grant(ctx)
	if err != nil {
		return nil, err
	}
	if err = t.stand(ctx, candidate); err == nil {
		if err = t.wait(ctx); err == nil {
			err = t.begin(ctx)
		}
	}
	if err != nil {
		// The lease goes also when ctx has ended; else others would wait for it.
		_ = t.leave(context.WithoutCancel(ctx), err)
		return nil, err
	}
	return t, nil
}

// grant takes a lease and keeps it alive.
func (e *etcd) grant(ctx context.Context) (*etcdTerm, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	sent := time.Now()
	r, err := e.client.Grant(ctx, int64(e.session/time.Second))
	if err != nil {
		return nil, e.failed(err, "take a lease")
	}
	t := &etcdTerm{
		e: e, lease: r.ID, expiry: sent.Add(e.session), ended: make(chan struct{}),
		key: fmt.Sprintf("%s%s%x", e.prefix, candidates, r.ID),
	}
	e.mu.Lock()
	e.mu.term = t
	e.mu.Unlock()
	if !e.group.Go(t.keepAlive) {
		t.end(ErrClosed)
		return nil, ErrClosed
	}
	return t, nil
}

// keepAlive renews the lease three times in its time to live. The time is counted
// from before a renewal is sent, so this process ends the term before etcd does, as
// far as both clocks run at the same speed.
func (t *etcdTerm) keepAlive(ctx context.Context) error {
	interval := t.e.session / 3
	for next := interval; ; {
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-t.ended:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			t.end(ErrClosed)
			return nil
		}
		sent := time.Now()
		err := t.renew(ctx, min(interval, t.expiry.Sub(sent)))
		switch {
		case err == nil:
			t.expiry = sent.Add(t.e.session)
			next = interval
		case errors.Is(err, errLease), errors.Is(err, ErrCorrupt):
			t.end(err)
			return nil
		default:
			next = t.e.session / 20 // Not at once, since a refused connection fails at once.
		}
		if left := time.Until(t.expiry); left <= 0 {
			t.end(t.e.failed(err, "the lease was not renewed for %v", t.e.session))
			return nil
		} else if left < next {
			next = left
		}
	}
}

// renew renews the lease once and looks whether the key is still there: somebody
// may have deleted it by hand.
func (t *etcdTerm) renew(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The client's own KeepAliveOnce tries again without a pause.
	stream, err := pb.NewLeaseClient(t.e.client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(t.lease)}); err != nil {
		return err
	}
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	if r.TTL <= 0 {
		return fmt.Errorf("%w: etcd has revoked it, or it was not renewed in time", errLease)
	}
	if t.number.Load() == 0 {
		return nil
	}
	kv, err := t.e.read(ctx, t.key)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return nil //nolint:nilerr // the lease was renewed; the key is looked at again next time
	}
	if err == nil && (len(kv.Kvs) == 0 || kv.Kvs[0].CreateRevision != t.number.Load()) {
		return fmt.Errorf("%w: its key %s was deleted", errLease, t.key)
	}
	return err
}

// stand makes this process a candidate: it writes the key.
func (t *etcdTerm) stand(ctx context.Context, candidate string) error {
	r, err := t.e.txn(ctx, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(t.key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(t.key, candidate, clientv3.WithLease(t.lease))},
		nil))
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errLease
	}
	if err != nil {
		return t.e.failed(err, "stand for election")
	}
	if !r.Succeeded {
		return errLease // The key of a new lease cannot be there.
	}
	return nil
}

// wait waits until no older candidate is left. It reads all candidates anew after
// every event, error and pause, so an event that was lost does no harm.
func (t *etcdTerm) wait(ctx context.Context) error {
	for {
		r, err := t.e.read(ctx, t.e.prefix+candidates, clientv3.WithPrefix(), clientv3.WithKeysOnly(),
			clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
		if err != nil {
			return t.e.failed(err, "wait for leadership")
		}
		before := ""
		for _, kv := range r.Kvs {
			if string(kv.Key) == t.key {
				if before == "" {
					t.number.Store(kv.CreateRevision)
					return nil
				}
				break
			}
			before = string(kv.Key)
		}
		if err := t.awaitChange(ctx, before, r.Header.Revision+1); err != nil {
			return err
		}
	}
}

// awaitChange waits until the key was deleted, or for as long as a lease lives.
func (t *etcdTerm) awaitChange(ctx context.Context, key string, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, t.e.session)
	defer cancel()
	events := t.e.client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithRev(revision), clientv3.WithFilterPut())
	select {
	case event, ok := <-events:
		if !ok || event.Err() != nil {
			return ignoreDeadline(t.e.pause(ctx))
		}
		return nil
	case <-t.ended:
		return errors.Join(errLease, t.err)
	case <-ctx.Done():
		return ignoreDeadline(ctx.Err())
	}
}

// ignoreDeadline drops the end of a wait that is followed by another look; if it
// was the caller's, that look says so.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// begin writes the name of a transaction before the first, and forgets those of
// epochs long gone. Others never write it, so a lost answer does no harm: the
// candidate goes, and with it its key.
func (t *etcdTerm) begin(ctx context.Context) error {
	t.marker = fmt.Sprintf("%s%s%016x", t.e.prefix, transactions, t.number.Load())
	t.last = fmt.Sprintf("%d-0", t.number.Load())
	old, err := t.e.read(ctx, t.e.prefix+transactions, clientv3.WithPrefix(), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return t.e.failed(err, "begin to lead")
	}
	writes := []clientv3.Op{clientv3.OpPut(t.marker, t.last)}
	for _, kv := range old.Kvs[min(len(old.Kvs), keptTransactions):] {
		if len(writes) < MaxOperations && string(kv.Key) != t.marker {
			writes = append(writes, clientv3.OpDelete(string(kv.Key)))
		}
	}
	r, err := t.e.txn(ctx, clientv3.OpTxn([]clientv3.Cmp{t.leads()}, writes, nil))
	if err != nil {
		return t.e.failed(err, "begin to lead")
	}
	if !r.Succeeded {
		return errLease
	}
	return nil
}

// leads is the comparison that fences: the key of this leader, and no other one of
// the same name, is there.
func (t *etcdTerm) leads() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(t.key), "=", t.number.Load())
}
