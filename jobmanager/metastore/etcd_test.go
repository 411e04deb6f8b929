package metastore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/jobmanager/metastore"
)

// rawEtcd is a client beside the store, which sees what etcd itself has.
func rawEtcd(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// throughProxy is a cluster whose store reaches etcd through a proxy.
func throughProxy(t *testing.T) (*proxy, metastore.Config, *clientv3.Client, string) {
	t.Helper()
	p := newProxy(t, etcdAddress)
	c := etcdConfig()
	c.Endpoints = []string{p.address()}
	c.SessionTimeout = 30 * time.Second // No lease is lost unless a test is about that.
	return p, c, rawEtcd(t, etcdAddress), metastore.DefaultRoot + "/" + c.ClusterID + "/"
}

// applied returns a function that waits until etcd has applied the next transaction
// of the cluster's leaders, and returns its revision.
func applied(t *testing.T, raw *clientv3.Client, prefix string) func() metastore.Revision {
	t.Helper()
	r, err := raw.Get(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	events := raw.Watch(t.Context(), prefix+"transaction/", clientv3.WithPrefix(), clientv3.WithRev(r.Header.Revision+1))
	return func() metastore.Revision {
		t.Helper()
		event := <-events
		if event.Err() != nil || len(event.Events) == 0 {
			t.Fatalf("watch: %v, %v", event.Err(), t.Context().Err())
		}
		return metastore.Revision(event.Events[0].Kv.ModRevision)
	}
}

// answer is what a call in another goroutine has returned.
type answer struct {
	revision metastore.Revision
	err      error
}

// inBackground calls f in a goroutine that the test waits for.
func inBackground(t *testing.T, f func(ctx context.Context) (metastore.Revision, error)) <-chan answer {
	t.Helper()
	group := goroutine.New(t.Context())
	t.Cleanup(func() { _ = group.Close() })
	result := make(chan answer, 1)
	group.Go(func(ctx context.Context) error {
		r, err := f(ctx)
		result <- answer{r, err}
		return nil
	})
	return result
}

// kindsOfTransactions are all that a leader sends to etcd to change something. Each
// begins with "a" = "1", and expects "a" and "b" afterwards.
var kindsOfTransactions = map[string]struct {
	do   func(ctx context.Context, l *metastore.Leadership, a metastore.Revision) (metastore.Revision, error)
	a, b string
}{
	"put": {func(ctx context.Context, l *metastore.Leadership, _ metastore.Revision) (metastore.Revision, error) {
		return l.Commit(ctx, tx().Put("a", []byte("needle")))
	}, "needle", ""},
	"delete": {func(ctx context.Context, l *metastore.Leadership, _ metastore.Revision) (metastore.Revision, error) {
		return l.Commit(ctx, tx().Delete("a").Put("needle", nil))
	}, "", ""},
	"guarded": {func(ctx context.Context, l *metastore.Leadership, a metastore.Revision) (metastore.Revision, error) {
		return l.Commit(ctx, tx().If("a", a).If("b", metastore.Absent).Put("a", []byte("needle")).Put("b", []byte("3")))
	}, "needle", "3"},
	"create": {func(ctx context.Context, l *metastore.Leadership, _ metastore.Revision) (metastore.Revision, error) {
		return l.Commit(ctx, tx().If("b", metastore.Absent).Put("b", []byte("needle")))
	}, "1", "needle"},
	"allocate": {func(ctx context.Context, l *metastore.Leadership, _ metastore.Revision) (metastore.Revision, error) {
		n, err := l.Allocate(ctx, "a")
		if err == nil && n != 2 {
			err = fmt.Errorf("the number is %d, want 2", n)
		}
		return 0, err
	}, "2", ""},
}

func expectData(t *testing.T, s *metastore.Store, key, want string) {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil || string(e.Value) != want {
		t.Errorf("%q is %q (%v), want %q", key, e.Value, err, want)
	}
}

// E3, c4: etcd has applied a transaction and its answer is lost. The store finds out
// that it was applied, and applies it once.
func TestAnswerIsLost(t *testing.T) {
	for name, kind := range kindsOfTransactions {
		t.Run(name, func(t *testing.T) {
			p, c, raw, prefix := throughProxy(t)
			s := open(t, c)
			l := lead(t, s)
			a := commit(t, l, tx().Put("a", []byte("1")))
			next := applied(t, raw, prefix)
			// The answer to Allocate's read has to pass: only what writes is looked for.
			p.set(func() {
				p.mu.look = func(sent []byte) {
					if bytes.Contains(sent, []byte("transaction/")) {
						p.dropAnswers()
					}
				}
			})
			result := inBackground(t, func(ctx context.Context) (metastore.Revision, error) { return kind.do(ctx, l, a) })
			revision := next()
			p.set(func() { p.mu.look = nil })
			p.heal()
			r := <-result
			if r.err != nil || r.revision != revision && name != "allocate" {
				t.Errorf("revision %d (%v), want %d", r.revision, r.err, revision)
			}
			expectData(t, s, "a", kind.a)
			expectData(t, s, "b", kind.b)
			if after := commit(t, l, tx().Put("c", nil)); after != revision+1 {
				t.Errorf("the next revision is %d, want %d: it was applied twice", after, revision+1)
			}
		})
	}
}

// A transaction is still on its way when its connection breaks, and reaches etcd
// after the store has found that it was not applied and has sent it again: it must
// not be applied then, not even an unconditional put.
func TestLateRequest(t *testing.T) {
	p, c, _, _ := throughProxy(t)
	s := open(t, c)
	l := lead(t, s)
	commit(t, l, tx().Put("a", []byte("1")))
	p.hold()
	result := inBackground(t, func(ctx context.Context) (metastore.Revision, error) {
		return l.Commit(ctx, tx().Put("a", []byte("needle")))
	})
	p.awaitHeld("needle")
	p.heal()
	r := <-result
	if r.err != nil {
		t.Fatal(r.err)
	}
	expectValue(t, s, "a", "needle", r.revision)
	last := commit(t, l, tx().Put("a", []byte("newer")))
	if err := p.release(); err != nil {
		t.Fatal(err)
	}
	expectValue(t, s, "a", "newer", last)
	if after := commit(t, l, tx().Put("c", nil)); after != last+1 {
		t.Errorf("the next revision is %d, want %d: the late request was applied", after, last+1)
	}
}

// Where etcd does not answer afterwards either, nobody knows; nothing else is
// written before somebody does; then the answer is definite.
func TestNobodyKnows(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(p *proxy)
		applied bool
	}{
		"the answers are lost":  {(*proxy).dropAnswers, true},
		"the requests are lost": {(*proxy).hold, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, c, raw, prefix := throughProxy(t)
			c.RequestTimeout = 100 * time.Millisecond
			s := open(t, c)
			l := lead(t, s)
			before := commit(t, l, tx().Put("a", []byte("1")))
			next := applied(t, raw, prefix)
			test.spoil(p)
			_, err := l.Commit(t.Context(), tx().If("a", before).Put("a", []byte("2")))
			unknown, ok := errors.AsType[*metastore.AmbiguousError](err)
			if !ok || !errors.Is(err, metastore.ErrAmbiguous) || errors.Is(err, metastore.ErrUnavailable) {
				t.Fatalf("Commit: %v", err)
			}
			if _, err := l.Commit(t.Context(), tx().Put("a", []byte("3"))); !errors.Is(err, metastore.ErrUnavailable) {
				t.Errorf("a second Commit: %v", err)
			}
			if _, err := s.Get(t.Context(), "a"); !errors.Is(err, metastore.ErrUnavailable) || !strings.Contains(err.Error(), p.address()) {
				t.Errorf("Get: %v", err)
			}
			if _, err := s.List(t.Context(), ""); !errors.Is(err, metastore.ErrUnavailable) {
				t.Errorf("List: %v", err)
			}
			if _, err := l.Settle(t.Context(), unknown.Transaction); !errors.Is(err, metastore.ErrAmbiguous) {
				t.Errorf("Settle: %v", err)
			}
			p.heal()
			want := metastore.Absent
			if test.applied {
				want = next()
			}
			if r, err := l.Settle(t.Context(), unknown.Transaction); err != nil || r != want {
				t.Errorf("Settle: %d, %v; want %d", r, err, want)
			}
			if !test.applied {
				want = before
			}
			value := map[bool]string{true: "2", false: "1"}[test.applied]
			expectValue(t, s, "a", value, want)
			commit(t, l, tx().If("a", want).Put("a", []byte("4")))
		})
	}
}

// A caller whose time ends gets an answer about its transaction all the same.
func TestCallerGivesUp(t *testing.T) {
	p, c, raw, prefix := throughProxy(t)
	s := open(t, c)
	l := lead(t, s)
	next := applied(t, raw, prefix)
	p.dropAnswers()
	ctx, cancel := context.WithCancel(t.Context())
	result := inBackground(t, func(context.Context) (metastore.Revision, error) {
		return l.Commit(ctx, tx().Put("a", []byte("1")))
	})
	revision := next()
	cancel()
	p.heal()
	if r := <-result; r.err != nil || r.revision != revision {
		t.Errorf("%d, %v; want %d", r.revision, r.err, revision)
	}
}

// E8, mutant 18, S5: a leader that etcd cannot hear stops leading before the next one
// begins; what it sends late is refused by the store; and it can still find out about
// a transaction of its time.
func TestDeposed(t *testing.T) {
	p, c, _, _ := throughProxy(t)
	c.SessionTimeout = time.Second
	c.RequestTimeout = 100 * time.Millisecond
	first := open(t, c)
	l := lead(t, first)
	commit(t, l, tx().Put("by", []byte("first")))
	c.Endpoints = []string{etcdAddress}
	second := open(t, c)
	waiting := inBackground(t, func(ctx context.Context) (metastore.Revision, error) {
		next, err := second.Campaign(ctx, "second")
		if err != nil {
			return 0, err
		}
		select {
		case <-l.Lost():
		default:
			return 0, errors.New("the first does not know yet that it was deposed")
		}
		if next.Epoch() <= l.Epoch() {
			return 0, fmt.Errorf("epoch %d after %d", next.Epoch(), l.Epoch())
		}
		return next.Commit(ctx, tx().Put("by", []byte("second")))
	})
	p.hold()
	_, err := l.Commit(t.Context(), tx().Put("by", []byte("late")))
	unknown, ok := errors.AsType[*metastore.AmbiguousError](err)
	if !ok {
		t.Fatalf("Commit: %v", err)
	}
	<-l.Lost()
	if err := l.Err(); !errors.Is(err, metastore.ErrNotLeader) || !strings.Contains(err.Error(), "was not renewed for 1s") {
		t.Errorf("Err: %v", err)
	}
	r := <-waiting
	if r.err != nil {
		t.Fatal(r.err)
	}
	p.heal()
	if _, err := l.Commit(t.Context(), tx().Put("by", []byte("wrong"))); !errors.Is(err, metastore.ErrNotLeader) {
		t.Errorf("Commit: %v", err)
	}
	if settled, err := l.Settle(t.Context(), unknown.Transaction); err != nil || settled != metastore.Absent {
		t.Errorf("Settle: %d, %v", settled, err)
	}
	expectValue(t, first, "by", "second", r.revision)
}

// The store compares, not the sender: the key of the leader has gone and the leader
// has not noticed.
func TestStoreFences(t *testing.T) {
	c := etcdConfig()
	c.SessionTimeout = 30 * time.Second
	s := open(t, c)
	for _, write := range []func(l *metastore.Leadership) error{
		func(l *metastore.Leadership) error {
			_, err := l.Commit(t.Context(), tx().Put("a", nil))
			return err
		},
		func(l *metastore.Leadership) error {
			_, err := l.Commit(t.Context(), tx().If("b", 77).Delete("a"))
			return err
		},
		func(l *metastore.Leadership) error {
			_, err := l.Allocate(t.Context(), "a")
			return err
		},
	} {
		l := lead(t, s)
		raw := rawEtcd(t, etcdAddress)
		r, err := raw.Delete(t.Context(), metastore.DefaultRoot+"/"+c.ClusterID+"/leader/", clientv3.WithPrefix())
		if err != nil || r.Deleted != 1 {
			t.Fatalf("%d deleted, %v", r.Deleted, err)
		}
		if l.Err() != nil {
			t.Fatalf("it knows already: %v", l.Err())
		}
		if err := write(l); !errors.Is(err, metastore.ErrNotLeader) {
			t.Errorf("the write was not refused: %v", err)
		}
		<-l.Lost()
	}
	expectKeys(t, s, "")
}

// A leader notices by itself that its lease was revoked, or its key deleted.
func TestLeaseIsRevoked(t *testing.T) {
	for name, revoke := range map[string]func(ctx context.Context, raw *clientv3.Client, prefix string) error{
		"lease": func(ctx context.Context, raw *clientv3.Client, prefix string) error {
			r, err := raw.Get(ctx, prefix+"leader/", clientv3.WithPrefix())
			if err != nil {
				return err
			}
			_, err = raw.Revoke(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
			return err
		},
		"key": func(ctx context.Context, raw *clientv3.Client, prefix string) error {
			_, err := raw.Delete(ctx, prefix+"leader/", clientv3.WithPrefix())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := etcdConfig()
			l := lead(t, open(t, c))
			if err := revoke(t.Context(), rawEtcd(t, etcdAddress), metastore.DefaultRoot+"/"+c.ClusterID+"/"); err != nil {
				t.Fatal(err)
			}
			<-l.Lost()
			if !errors.Is(l.Err(), metastore.ErrNotLeader) {
				t.Error(l.Err())
			}
		})
	}
}

// A leadership is held for longer than the lease lives.
func TestLeaseIsRenewed(t *testing.T) {
	c := etcdConfig()
	s := open(t, c)
	l := lead(t, s)
	timer := time.NewTimer(2500 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-l.Lost():
		t.Fatal(l.Err())
	case <-timer.C:
	}
	commit(t, l, tx().Put("a", nil))
}

// E5: etcd is compacted between two pages of a list: it is read anew, as of one
// moment.
func TestCompaction(t *testing.T) {
	p, c, raw, prefix := throughProxy(t)
	s := open(t, c)
	l := lead(t, s)
	b := tx()
	for i := range 80 {
		b.Put(fmt.Sprintf("jobs/%02d", i), []byte("old"))
	}
	commit(t, l, b)
	compactions := 0
	p.set(func() {
		p.mu.look = func(sent []byte) {
			if compactions > 0 || !bytes.Contains(sent, []byte("jobs/31\x00")) {
				return
			}
			compactions++
			var writes []clientv3.Op
			for i := range 80 {
				writes = append(writes, clientv3.OpPut(fmt.Sprintf("%sdata/jobs/%02d", prefix, i), "new"))
			}
			r, err := raw.Txn(t.Context()).Then(writes...).Commit()
			if err == nil {
				_, err = raw.Compact(t.Context(), r.Header.Revision)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	entries, err := s.List(t.Context(), "jobs/")
	if err != nil || len(entries) != 80 || compactions != 1 {
		t.Fatalf("%d entries, %v, %d compactions", len(entries), err, compactions)
	}
	for _, e := range entries {
		if string(e.Value) != "new" {
			t.Fatalf("%s is %q", e.Key, e.Value)
		}
	}
}

// The names of transactions of epochs long gone are removed; the youngest stay.
func TestNamesAreBounded(t *testing.T) {
	c := etcdConfig()
	s := open(t, c)
	for range 70 {
		if err := lead(t, s).Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := rawEtcd(t, etcdAddress).Get(t.Context(), metastore.DefaultRoot+"/"+c.ClusterID+"/", clientv3.WithPrefix())
	if err != nil || len(r.Kvs) != 66 { // The format, 64 older names and that of the last leader.
		t.Errorf("%d keys are left, want 66 (%v)", len(r.Kvs), err)
	}
}

// Nobody listens, or nobody answers: a clear error in bounded time. A campaign waits.
func TestEtcdIsAway(t *testing.T) {
	c := etcdConfig()
	c.Endpoints = []string{"127.0.0.1:1"}
	c.RequestTimeout = 100 * time.Millisecond
	if _, err := metastore.Open(t.Context(), c); !errors.Is(err, metastore.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody listens: %v", err)
	}
	p := newProxy(t, etcdAddress)
	c.Endpoints = []string{p.address()}
	p.hold()
	if _, err := metastore.Open(t.Context(), c); !errors.Is(err, metastore.ErrUnavailable) {
		t.Errorf("nobody answers: %v", err)
	}
	p.heal()
	s := open(t, c)
	p.hold()
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := s.Campaign(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, metastore.ErrUnavailable) {
		t.Errorf("Campaign: %v", err)
	}
	waiting := inBackground(t, func(ctx context.Context) (metastore.Revision, error) {
		l, err := s.Campaign(ctx, "b")
		if err != nil {
			return 0, err
		}
		return l.Commit(ctx, tx().Put("a", nil))
	})
	p.awaitHeld("")
	p.heal()
	if r := <-waiting; r.err != nil {
		t.Error(r.err)
	}
}

// Keys of a newer or an unknown format are left alone.
func TestEtcdFormat(t *testing.T) {
	c := etcdConfig()
	raw := rawEtcd(t, etcdAddress)
	key := metastore.DefaultRoot + "/" + c.ClusterID + "/format"
	for content, want := range map[string]error{
		"weir metadata store 2": metastore.ErrFormat, "hello": metastore.ErrCorrupt, "": metastore.ErrCorrupt,
	} {
		if _, err := raw.Put(t.Context(), key, content); err != nil {
			t.Fatal(err)
		}
		if _, err := metastore.Open(t.Context(), c); !errors.Is(err, want) || !strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", content, err)
		}
		if r, err := raw.Get(t.Context(), key); err != nil || string(r.Kvs[0].Value) != content {
			t.Errorf("%q was changed", content)
		}
	}
}
