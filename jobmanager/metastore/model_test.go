package metastore_test

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/jobmanager/metastore"
)

// model is what the store should hold, in maps.
type model struct {
	entries  map[string]metastore.Entry
	counters map[string]uint64
	last     metastore.Revision
	epoch    uint64
}

// TestModel performs random operations on a store and on a map, with leaders that
// change and stores that are opened anew, and compares every answer.
func TestModel(t *testing.T) {
	// A store that is opened on a disk costs some 50 ms; -rapid.checks=N asks for more.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			t.Fatal(err)
		}
	}
	for name := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				c := etcdConfig()
				if name == "local" {
					c = localConfig(t)
				}
				m := model{entries: map[string]metastore.Entry{}, counters: map[string]uint64{}}
				s := open(t, c)
				l := lead(t, s)
				m.epoch = l.Epoch()
				for range rapid.IntRange(1, 40).Draw(rt, "operations") {
					switch rapid.SampledFrom([]string{"commit", "commit", "commit", "allocate", "read", "list", "resign", "reopen"}).Draw(rt, "operation") {
					case "commit":
						m.commit(rt, l)
					case "allocate":
						m.allocate(rt, l)
					case "read":
						m.read(rt, s)
					case "list":
						m.list(rt, s)
					case "resign":
						old := l
						if err := l.Resign(t.Context()); err != nil {
							rt.Fatal(err)
						}
						l = m.lead(rt, s)
						if _, err := old.Commit(t.Context(), tx().Put("a", []byte("old"))); !errors.Is(err, metastore.ErrNotLeader) {
							rt.Fatalf("a former leader writes: %v", err)
						}
					case "reopen":
						if err := s.Close(); err != nil {
							rt.Fatal(err)
						}
						s = open(t, c)
						l = m.lead(rt, s)
					}
				}
				m.list(rt, s)
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

var modelKeys = rapid.SampledFrom([]string{"a", "a/b", "a/c", "b", "ab"})

func (m *model) lead(t *rapid.T, s *metastore.Store) *metastore.Leadership {
	l, err := s.Campaign(t.Context(), "candidate")
	if err != nil {
		t.Fatal(err)
	}
	if l.Epoch() <= m.epoch {
		t.Fatalf("epoch %d after %d", l.Epoch(), m.epoch)
	}
	m.epoch = l.Epoch()
	return l
}

func (m *model) commit(t *rapid.T, l *metastore.Leadership) {
	b, failing := tx(), ""
	for _, key := range rapid.SliceOfN(modelKeys, 0, 3).Draw(t, "conditions") {
		want := m.entries[key].Revision
		if rapid.IntRange(0, 9).Draw(t, "wrong") == 0 {
			want++
			if failing == "" {
				failing = key
			}
		}
		b.If(key, want)
	}
	written := map[string]string{}
	var deleted []string
	for _, key := range rapid.SliceOfNDistinct(modelKeys, 1, 4, rapid.ID).Draw(t, "writes") {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			b.Delete(key)
			deleted = append(deleted, key)
			continue
		}
		value := rapid.StringN(0, 20, -1).Draw(t, "value")
		b.Put(key, []byte(value))
		written[key] = value
	}
	r, err := l.Commit(t.Context(), b)
	if failing != "" {
		refused, ok := errors.AsType[*metastore.ConditionError](err)
		if !ok || refused.Key != failing || refused.Have != m.entries[failing].Revision {
			t.Fatalf("the condition on %q does not hold: %v", failing, err)
		}
		return
	}
	if err != nil || r <= m.last {
		t.Fatalf("revision %d after %d, %v", r, m.last, err)
	}
	m.last = r
	for key, value := range written {
		m.entries[key] = metastore.Entry{Key: key, Value: []byte(value), Revision: r}
	}
	for _, key := range deleted {
		delete(m.entries, key)
	}
}

func (m *model) allocate(t *rapid.T, l *metastore.Leadership) {
	key := rapid.SampledFrom([]string{"counter/1", "counter/2"}).Draw(t, "counter")
	n, err := l.Allocate(t.Context(), key)
	if m.counters[key]++; err != nil || n != m.counters[key] {
		t.Fatalf("%q gives %d (%v), want %d", key, n, err, m.counters[key])
	}
}

func (m *model) read(t *rapid.T, s *metastore.Store) {
	key := modelKeys.Draw(t, "key")
	e, err := s.Get(t.Context(), key)
	if err != nil || fmt.Sprint(e.Revision, string(e.Value)) != fmt.Sprint(m.entries[key].Revision, string(m.entries[key].Value)) {
		t.Fatalf("%+v, %v; want %+v", e, err, m.entries[key])
	}
}

func (m *model) list(t *rapid.T, s *metastore.Store) {
	prefix := rapid.SampledFrom([]string{"a", "a/", "b", "ab", ""}).Draw(t, "prefix")
	entries, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Key, "counter/") {
			got = append(got, fmt.Sprintf("%s %d %q", e.Key, e.Revision, e.Value))
		}
	}
	for key, e := range m.entries {
		if strings.HasPrefix(key, prefix) {
			want = append(want, fmt.Sprintf("%s %d %q", key, e.Revision, e.Value))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("List(%q) = %q, want %q", prefix, got, want)
	}
}
