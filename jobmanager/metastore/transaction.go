package metastore

import (
	"slices"
	"strings"
)

// Bounds. A transaction with all its keys fits a request to etcd in its default
// configuration (1.5 MiB, 128 operations).
const (
	// MaxKey is the largest length of a key, in bytes.
	MaxKey = 512
	// MaxValue is the largest length of a value, in bytes.
	MaxValue = 1 << 20
	// MaxTransaction is the largest sum of the lengths of a transaction's keys and
	// values, in bytes.
	MaxTransaction = MaxValue + 128<<10
	// MaxOperations is the largest number of a transaction's conditions, and of its
	// puts and deletes together.
	MaxOperations = 100
)

// Revision says when a key was last written: it rises with every transaction of
// the store, and two transactions never have the same one.
type Revision int64

// Absent is the revision of a key that is not there.
const Absent Revision = 0

// Entry is a key with its value.
type Entry struct {
	Key string
	// Value is the caller's own.
	Value []byte
	// Revision is that of the transaction that wrote the value; [Absent] for a key
	// that is not there.
	Revision Revision
}

// Transaction is what [Leadership.Commit] applies as a whole or not at all. The
// zero value is empty; the methods add to it and return it. It is not to be
// changed by several goroutines at once, nor while it is being committed.
type Transaction struct {
	conditions []condition
	writes     []write
}

type condition struct {
	key  string
	want Revision
}

type write struct {
	key    string
	value  []byte
	delete bool
}

// If adds the condition that the key has this revision: [Absent], or the one that
// was read.
func (t *Transaction) If(key string, revision Revision) *Transaction {
	t.conditions = append(t.conditions, condition{key: key, want: revision})
	return t
}

// Put writes the value of a key. The value is not copied.
func (t *Transaction) Put(key string, value []byte) *Transaction {
	t.writes = append(t.writes, write{key: key, value: value})
	return t
}

// Delete removes a key; that it is absent already is no error.
func (t *Transaction) Delete(key string) *Transaction {
	t.writes = append(t.writes, write{key: key, delete: true})
	return t
}

// check refuses what no store would take, before anything is sent.
func (t *Transaction) check() error {
	if len(t.writes) == 0 {
		return failure(ErrInvalid, nil, "transaction without a put or delete")
	}
	if len(t.conditions) > MaxOperations || len(t.writes) > MaxOperations {
		return failure(ErrTooLarge, nil, "transaction with %d conditions and %d puts and deletes, at most %d of either",
			len(t.conditions), len(t.writes), MaxOperations)
	}
	size := 0
	seen := make([]string, 0, len(t.writes))
	for _, c := range t.conditions {
		if err := checkKey(c.key); err != nil {
			return err
		}
		if c.want < 0 {
			return failure(ErrInvalid, nil, "condition on key %q: revision %d", c.key, c.want)
		}
		size += len(c.key)
	}
	for _, w := range t.writes {
		if err := checkKey(w.key); err != nil {
			return err
		}
		if len(w.value) > MaxValue {
			return failure(ErrTooLarge, nil, "value of key %q has %d bytes, at most %d", w.key, len(w.value), MaxValue)
		}
		size += len(w.key) + len(w.value)
		seen = append(seen, w.key)
	}
	if size > MaxTransaction {
		return failure(ErrTooLarge, nil, "transaction of %d bytes, at most %d", size, MaxTransaction)
	}
	slices.Sort(seen)
	for i := 1; i < len(seen); i++ {
		if seen[i] == seen[i-1] {
			return failure(ErrInvalid, nil, "transaction writes key %q twice", seen[i])
		}
	}
	return nil
}

// checkKey refuses what is not a path such as "jobs/<id>/record": names of
// visible ASCII characters with slashes between them.
func checkKey(key string) error {
	if len(key) > MaxKey {
		return failure(ErrTooLarge, nil, "key of %d bytes, at most %d", len(key), MaxKey)
	}
	if key == "" || !visible(key) || key[0] == '/' || key[len(key)-1] == '/' || strings.Contains(key, "//") {
		return failure(ErrInvalid, nil, "key %q: want names of visible ASCII characters with slashes between them", key)
	}
	return nil
}

// checkPrefix refuses what no key can begin with.
func checkPrefix(prefix string) error {
	if len(prefix) > MaxKey {
		return failure(ErrTooLarge, nil, "prefix of %d bytes, at most %d", len(prefix), MaxKey)
	}
	if !visible(prefix) || strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") {
		return failure(ErrInvalid, nil, "prefix %q: no key begins with it", prefix)
	}
	return nil
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
