package metastore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/jobmanager/metastore"
)

// implementations are what the conformance suite runs for: a configuration of each,
// for a cluster that nobody has used yet.
func implementations(t *testing.T) map[string]metastore.Config {
	t.Helper()
	return map[string]metastore.Config{"local": localConfig(t), "etcd": etcdConfig()}
}

func localConfig(t *testing.T) metastore.Config {
	t.Helper()
	return metastore.Config{Type: metastore.None, StorageDir: t.TempDir(), WaitForLock: true, Logger: slog.New(slog.DiscardHandler)}
}

var clusters atomic.Int64

func etcdConfig() metastore.Config {
	return metastore.Config{
		Type: metastore.Etcd, Endpoints: []string{etcdAddress}, ClusterID: fmt.Sprintf("cluster-%d", clusters.Add(1)),
		SessionTimeout: time.Second, RequestTimeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, c metastore.Config) *metastore.Store {
	t.Helper()
	s, err := metastore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func lead(t *testing.T, s *metastore.Store) *metastore.Leadership {
	t.Helper()
	l, err := s.Campaign(t.Context(), "127.0.0.1:6123")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func commit(t *testing.T, l *metastore.Leadership, tx *metastore.Transaction) metastore.Revision {
	t.Helper()
	r, err := l.Commit(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tx() *metastore.Transaction { return &metastore.Transaction{} }

// expectValue expects a key to have a value and a revision; the value "" stands for
// none.
func expectValue(t *testing.T, s *metastore.Store, key, value string, revision metastore.Revision) {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if e.Key != key || string(e.Value) != value || e.Revision != revision {
		t.Errorf("Get(%q) = %.40q, revision %d, want %.40q, revision %d", key, e.Value, e.Revision, value, revision)
	}
}

func expectKeys(t *testing.T, s *metastore.Store, prefix string, want ...string) {
	t.Helper()
	entries, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("List(%q) = %q, want %q", prefix, got, want)
	}
}

func TestGetPutDelete(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			expectValue(t, s, "jobs/a/record", "", metastore.Absent)
			expectKeys(t, s, "")
			l := lead(t, s)
			first := commit(t, l, tx().Put("jobs/a/record", []byte("one")).Put("jobs/a/plan", nil))
			if first <= 0 {
				t.Errorf("revision %d", first)
			}
			expectValue(t, s, "jobs/a/record", "one", first)
			expectValue(t, s, "jobs/a/plan", "", first)
			second := commit(t, l, tx().Put("jobs/a/record", []byte("two")))
			if second <= first {
				t.Errorf("revision %d after %d", second, first)
			}
			expectValue(t, s, "jobs/a/record", "two", second)
			expectValue(t, s, "jobs/a/plan", "", first)
			commit(t, l, tx().Delete("jobs/a/record").Delete("jobs/never/there"))
			expectValue(t, s, "jobs/a/record", "", metastore.Absent)
			third := commit(t, l, tx().Put("jobs/a/record", []byte("three")))
			expectValue(t, s, "jobs/a/record", "three", third)
		})
	}
}

func TestListIsOrdered(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			commit(t, l, tx().Put("jobs/b/record", nil).Put("jobs/a/record", nil).Put("jobs/ab/record", nil).Put("jobs/a", nil).
				Put("cluster/id", nil).Put("jobs/~", nil).Put("jobs/B", nil))
			expectKeys(t, s, "", "cluster/id", "jobs/B", "jobs/a", "jobs/a/record", "jobs/ab/record", "jobs/b/record", "jobs/~")
			expectKeys(t, s, "jobs/a", "jobs/a", "jobs/a/record", "jobs/ab/record")
			expectKeys(t, s, "jobs/a/", "jobs/a/record")
			expectKeys(t, s, "jobs/~", "jobs/~")
			expectKeys(t, s, "jobs/c")
			expectKeys(t, s, "zzz")
		})
	}
}

// Several pages, of an odd number of entries, with their values.
func TestListLong(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			for batch := range 3 {
				b := tx()
				for i := range 33 {
					b.Put(fmt.Sprintf("jobs/%03d", batch*33+i), []byte(strconv.Itoa(batch*33+i)))
				}
				commit(t, l, b)
			}
			entries, err := s.List(t.Context(), "jobs/")
			if err != nil || len(entries) != 99 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			for i, e := range entries {
				if e.Key != fmt.Sprintf("jobs/%03d", i) || string(e.Value) != strconv.Itoa(i) {
					t.Fatalf("entry %d is %q with %q", i, e.Key, e.Value)
				}
			}
		})
	}
}

// A transaction is refused as a whole, whichever of its conditions fails, and the
// error says which.
func TestConditions(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			old := commit(t, l, tx().If("a", metastore.Absent).Put("a", []byte("1")))
			now := commit(t, l, tx().If("a", old).If("b", metastore.Absent).Put("a", []byte("2")).Put("c", []byte("c")))
			for _, test := range []struct {
				tx         *metastore.Transaction
				key        string
				want, have metastore.Revision
			}{
				{tx().If("a", metastore.Absent), "a", metastore.Absent, now},
				{tx().If("a", old), "a", old, now},
				{tx().If("b", now), "b", now, metastore.Absent},
				{tx().If("a", now).If("b", metastore.Absent).If("c", old), "c", old, now},
				{tx().If("a", now).If("b", 7).If("c", old), "b", 7, metastore.Absent},
			} {
				_, err := l.Commit(t.Context(), test.tx.Put("a", []byte("wrong")).Put("d", []byte("wrong")).Delete("c"))
				refused, ok := errors.AsType[*metastore.ConditionError](err)
				if !ok || !errors.Is(err, metastore.ErrCondition) {
					t.Fatalf("committed: %v", err)
				}
				if refused.Key != test.key || refused.Want != test.want || refused.Have != test.have {
					t.Errorf("%v, want key %q, %d, %d", err, test.key, test.want, test.have)
				}
			}
			expectValue(t, s, "a", "2", now)
			expectValue(t, s, "c", "c", now)
			expectValue(t, s, "d", "", metastore.Absent)
			if l.Err() != nil {
				t.Errorf("a refused condition ended the leadership: %v", l.Err())
			}
			commit(t, l, tx().If("a", now).Delete("a"))
			commit(t, l, tx().If("a", metastore.Absent).Put("a", []byte("again")))
		})
	}
}

// The largest that is allowed is taken by both, with every key as long as it may be.
func TestBounds(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			largest := bytes.Repeat([]byte("x"), metastore.MaxValue)
			r := commit(t, l, tx().Put("largest", largest))
			expectValue(t, s, "largest", string(largest), r)
			_, err := l.Commit(t.Context(), tx().Put("larger", append(largest, 'x')))
			if !errors.Is(err, metastore.ErrTooLarge) || !strings.Contains(err.Error(), `"larger" has 1048577 bytes, at most 1048576`) {
				t.Errorf("%v", err)
			}
			full, size := tx(), 0
			for i := range metastore.MaxOperations {
				key := fmt.Sprintf("%0*d", metastore.MaxKey, i)
				full.If(key, metastore.Absent)
				value := make([]byte, 10_000)
				if i == metastore.MaxOperations-1 {
					value = make([]byte, metastore.MaxTransaction-size-2*metastore.MaxKey)
				}
				full.Put(key, value)
				size += 2*metastore.MaxKey + len(value)
			}
			commit(t, l, full)
			for name, refused := range map[string]*metastore.Transaction{
				"size":       tx().Put("a", largest).Put("b", make([]byte, metastore.MaxTransaction-metastore.MaxValue-1)),
				"conditions": many(metastore.MaxOperations+1, 1),
				"writes":     many(1, metastore.MaxOperations+1),
				"key":        tx().Put(strings.Repeat("k", metastore.MaxKey+1), nil),
			} {
				if _, err := l.Commit(t.Context(), refused); !errors.Is(err, metastore.ErrTooLarge) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func many(conditions, writes int) *metastore.Transaction {
	m := tx()
	for i := range conditions {
		m.If(strconv.Itoa(i), metastore.Absent)
	}
	for i := range writes {
		m.Put(strconv.Itoa(i), nil)
	}
	return m
}

func TestInvalid(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			for _, key := range []string{"", "/", "/a", "a/", "a//b", "a b", "a\x00", "ä", "a\n"} {
				if _, err := s.Get(t.Context(), key); !errors.Is(err, metastore.ErrInvalid) {
					t.Errorf("Get(%q): %v", key, err)
				}
				if _, err := l.Allocate(t.Context(), key); !errors.Is(err, metastore.ErrInvalid) {
					t.Errorf("Allocate(%q): %v", key, err)
				}
				for _, refused := range []*metastore.Transaction{tx().Put(key, nil), tx().Delete(key), tx().If(key, 0).Put("a", nil)} {
					if _, err := l.Commit(t.Context(), refused); !errors.Is(err, metastore.ErrInvalid) {
						t.Errorf("Commit with %q: %v", key, err)
					}
				}
			}
			for _, prefix := range []string{"/", "a//", "a b", "\xff"} {
				if _, err := s.List(t.Context(), prefix); !errors.Is(err, metastore.ErrInvalid) {
					t.Errorf("List(%q): %v", prefix, err)
				}
			}
			for name, refused := range map[string]*metastore.Transaction{
				"empty": tx(), "only conditions": tx().If("a", 0), "twice": tx().Put("a", nil).Put("b", nil).Delete("a"),
				"negative": tx().If("a", -1).Put("a", nil),
			} {
				if _, err := l.Commit(t.Context(), refused); !errors.Is(err, metastore.ErrInvalid) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := s.Campaign(t.Context(), "a b"); !errors.Is(err, metastore.ErrInvalid) {
				t.Errorf("Campaign: %v", err)
			}
			expectKeys(t, s, "")
		})
	}
}

// A leadership that was resigned cannot write, whoever leads; epochs rise.
func TestResign(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			var last uint64
			for i := range 3 {
				l := lead(t, s)
				if l.Epoch() <= last {
					t.Errorf("epoch %d after %d", l.Epoch(), last)
				}
				last = l.Epoch()
				select {
				case <-l.Lost():
					t.Errorf("lost at once: %v", l.Err())
				default:
				}
				commit(t, l, tx().Put("leader", strconv.AppendInt(nil, int64(i), 10)))
				for range 2 {
					if err := l.Resign(t.Context()); err != nil {
						t.Error(err)
					}
				}
				<-l.Lost()
				if err := l.Err(); !errors.Is(err, metastore.ErrNotLeader) || !strings.Contains(err.Error(), "resigned") {
					t.Errorf("Err: %v", err)
				}
				if _, err := l.Commit(t.Context(), tx().Put("leader", []byte("wrong"))); !errors.Is(err, metastore.ErrNotLeader) {
					t.Errorf("Commit: %v", err)
				}
				if _, err := l.Allocate(t.Context(), "counter"); !errors.Is(err, metastore.ErrNotLeader) {
					t.Errorf("Allocate: %v", err)
				}
			}
			e, err := s.Get(t.Context(), "leader")
			if err != nil || string(e.Value) != "2" {
				t.Errorf("%q, %v", e.Value, err)
			}
			expectKeys(t, s, "", "leader")
		})
	}
}

// S4: of two contenders one leads; the other one does as soon as it is gone, with a
// larger epoch, and finds what the first has written.
func TestTwoContenders(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			first := open(t, c)
			l := lead(t, first)
			r := commit(t, l, tx().Put("by", []byte("first")))
			type outcome struct {
				s   *metastore.Store
				l   *metastore.Leadership
				err error
			}
			second := make(chan outcome, 1)
			group := goroutine.New(t.Context())
			t.Cleanup(func() { _ = group.Close() })
			group.Go(func(ctx context.Context) error {
				s, err := metastore.Open(ctx, c)
				if err != nil {
					second <- outcome{err: err}
					return nil
				}
				l, err := s.Campaign(ctx, "second")
				second <- outcome{s, l, err}
				return nil
			})
			for i := range 50 {
				r = commit(t, l, tx().If("by", r).Put("by", []byte("first "+strconv.Itoa(i))))
			}
			select {
			case o := <-second:
				t.Fatalf("two lead: %+v", o)
			default:
			}
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			<-l.Lost()
			o := <-second
			if o.err != nil {
				t.Fatal(o.err)
			}
			defer func() { _ = o.s.Close() }()
			if o.l.Epoch() <= l.Epoch() {
				t.Errorf("epoch %d after %d", o.l.Epoch(), l.Epoch())
			}
			expectValue(t, o.s, "by", "first 49", r)
			commit(t, o.l, tx().If("by", r).Put("by", []byte("second")))
			if _, err := l.Commit(t.Context(), tx().Put("by", []byte("wrong"))); !errors.Is(err, metastore.ErrClosed) {
				t.Errorf("Commit after Close: %v", err)
			}
		})
	}
}

// A store has one leadership at a time; a campaign that is given up leaves nothing
// behind.
func TestCampaignIsGivenUp(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := s.Campaign(ctx, "second"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Campaign: %v", err)
			}
			commit(t, l, tx().Put("a", nil))
			if err := l.Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
			commit(t, lead(t, s), tx().Put("a", []byte("2")))
		})
	}
}

// Numbers go on over leaders and restarts, and are given once to concurrent callers.
func TestAllocate(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			var next uint64
			for restart := range 3 {
				s := open(t, c)
				l := lead(t, s)
				given := make(chan uint64, 20)
				group := goroutine.New(t.Context())
				for range 4 {
					group.Go(func(ctx context.Context) error {
						for range 5 {
							n, err := l.Allocate(ctx, "jobs/a/checkpoint-id")
							if err != nil {
								return err
							}
							given <- n
						}
						return nil
					})
				}
				if err := group.Wait(); err != nil {
					t.Fatal(err)
				}
				group.Stop()
				close(given)
				var numbers []uint64
				for n := range given {
					numbers = append(numbers, n)
				}
				slices.Sort(numbers)
				for i, n := range numbers {
					if n != next+uint64(i)+1 {
						t.Fatalf("restart %d: %d, after %d", restart, numbers, next)
					}
				}
				next = numbers[len(numbers)-1]
				if n, err := l.Allocate(t.Context(), "jobs/b/checkpoint-id"); err != nil || n != uint64(restart)+1 {
					t.Errorf("another counter: %d, %v", n, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, c)
			l := lead(t, s)
			for _, bad := range []string{"many", "18446744073709551615", "-1", "18446744073709551616"} {
				commit(t, l, tx().Put("counter", []byte(bad)))
				if n, err := l.Allocate(t.Context(), "counter"); !errors.Is(err, metastore.ErrCorrupt) {
					t.Errorf("a counter of %q: %d, %v", bad, n, err)
				}
			}
		})
	}
}

// Everything is there after a restart: values, revisions, order; revisions go on.
func TestRestart(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			a := commit(t, l, tx().Put("a", []byte("a")).Put("gone", nil))
			b := commit(t, l, tx().Put("b", []byte("b")).Delete("gone"))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("a second Close: %v", err)
			}
			s = open(t, c)
			expectValue(t, s, "a", "a", a)
			expectValue(t, s, "b", "b", b)
			expectKeys(t, s, "", "a", "b")
			again := lead(t, s)
			if again.Epoch() <= l.Epoch() {
				t.Errorf("epoch %d after %d", again.Epoch(), l.Epoch())
			}
			if r := commit(t, again, tx().If("a", a).If("b", b).Put("c", nil)); r <= b {
				t.Errorf("revision %d after %d", r, b)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			_, get := s.Get(t.Context(), "a")
			_, list := s.List(t.Context(), "a")
			_, campaign := s.Campaign(t.Context(), "a")
			_, write := l.Commit(t.Context(), tx().Put("a", nil))
			_, allocate := l.Allocate(t.Context(), "a")
			_, settle := l.Settle(t.Context(), "a")
			for i, err := range []error{get, list, campaign, write, allocate, settle} {
				if !errors.Is(err, metastore.ErrClosed) {
					t.Errorf("call %d: %v", i, err)
				}
			}
			if err := l.Err(); !errors.Is(err, metastore.ErrNotLeader) || !errors.Is(err, metastore.ErrClosed) {
				t.Errorf("Err: %v", err)
			}
		})
	}
}

func TestEndedContext(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			ended, cancel := context.WithCancelCause(t.Context())
			why := errors.New("shutting down")
			cancel(why)
			_, get := s.Get(ended, "a")
			_, list := s.List(ended, "a")
			_, campaign := s.Campaign(ended, "a")
			_, write := l.Commit(ended, tx().Put("a", nil))
			_, allocate := l.Allocate(ended, "a")
			for i, err := range []error{get, list, campaign, write, allocate} {
				if !errors.Is(err, why) {
					t.Errorf("call %d: %v", i, err)
				}
			}
			expectKeys(t, s, "")
			if _, err := l.Settle(t.Context(), "never"); !errors.Is(err, metastore.ErrInvalid) {
				t.Errorf("Settle: %v", err)
			}
		})
	}
}

// Writers that compare what they have read lose no increment; readers beside them
// see each transaction as a whole.
func TestConcurrentIncrements(t *testing.T) {
	for name, c := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			l := lead(t, s)
			commit(t, l, tx().Put("x", []byte("0")).Put("y", []byte("0")))
			readers := goroutine.New(t.Context())
			readers.Go(func(ctx context.Context) error {
				for ctx.Err() == nil {
					e, err := s.List(ctx, "")
					if err == nil && (len(e) != 2 || !bytes.Equal(e[0].Value, e[1].Value) || e[0].Revision != e[1].Revision) {
						return fmt.Errorf("a transaction in parts: %q, %q", e[0].Value, e[1].Value)
					}
				}
				return nil
			})
			writers := goroutine.New(t.Context())
			for range 4 {
				writers.Go(func(ctx context.Context) error {
					for done := 0; done < 10; {
						e, err := s.Get(ctx, "x")
						if err != nil {
							return err
						}
						n, err := strconv.Atoi(string(e.Value))
						if err != nil {
							return err
						}
						next := strconv.AppendInt(nil, int64(n)+1, 10)
						_, err = l.Commit(ctx, tx().If("x", e.Revision).Put("x", next).Put("y", next))
						if err == nil {
							done++
						} else if !errors.Is(err, metastore.ErrCondition) {
							return err
						}
					}
					return nil
				})
			}
			if err := writers.Wait(); err != nil {
				t.Fatal(err)
			}
			writers.Stop()
			if err := readers.Close(); err != nil {
				t.Error(err)
			}
			if e, err := s.Get(t.Context(), "y"); err != nil || string(e.Value) != "40" {
				t.Errorf("%q, %v", e.Value, err)
			}
		})
	}
}
