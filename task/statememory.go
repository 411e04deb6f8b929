package task

import (
	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

// memoryState is the stateBackend on the heap: a table from keys to their A.
type memoryState[K comparable, A any] struct {
	table   *memory.Table[K, A]
	current *currentKey[K]
	// slot is where find found the current key.
	slot  uint32
	found bool
}

func newMemoryState[K comparable, A any](current *currentKey[K], kind *key.Kind[K]) *memoryState[K, A] {
	return &memoryState[K, A]{table: memory.NewTable[K, A](kind), current: current}
}

func (m *memoryState[K, A]) find() *A {
	if m.slot, m.found = m.table.Lookup(m.current.key, m.current.hash); !m.found {
		return nil
	}
	return m.table.At(m.slot)
}

func (m *memoryState[K, A]) change() (a *A, made bool) {
	if m.found {
		m.table.Touch(m.slot)
	} else {
		m.slot, made = m.table.Insert(m.current.key, m.current.hash)
		m.found = true
	}
	return m.table.At(m.slot), made
}

func (m *memoryState[K, A]) remove() {
	m.table.Remove(m.slot)
	m.found = false
}
