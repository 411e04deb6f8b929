package taskmanager

import (
	"log/slog"
	"os"
	"sync"
)

// slotMemory has the network memory of each slot: a file that its worker maps.
// The files are there from the start, so that a TaskManager that cannot have
// them does not offer slots. When a worker is gone its files are replaced, not
// cleared: whoever may still hold an old one shares nothing with the next.
type slotMemory struct {
	size   int64
	logger *slog.Logger
	mu     struct {
		sync.Mutex
		// files has nil for a slot whose file could not be replaced.
		files []*os.File
	}
}

func newSlotMemories(slots int, size int64, logger *slog.Logger) (*slotMemory, error) {
	m := &slotMemory{size: size, logger: logger}
	m.mu.files = make([]*os.File, slots)
	for i := range slots {
		if _, err := m.get(i); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

// get returns the slot's file, which stays the memory's.
func (m *slotMemory) get(slot int) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.files[slot] == nil {
		f, err := newSlotMemory(slot, m.size)
		if err != nil {
			return nil, err
		}
		m.mu.files[slot] = f
	}
	return m.mu.files[slot], nil
}

// renew replaces the slot's file by an empty one.
func (m *slotMemory) renew(slot int) {
	m.mu.Lock()
	if f := m.mu.files[slot]; f != nil {
		f.Close()
		m.mu.files[slot] = nil
	}
	m.mu.Unlock()
	if _, err := m.get(slot); err != nil {
		m.logger.Warn("the network memory of a slot could not be renewed; it is tried again for the next worker", "slot", slot, "error", err)
	}
}

func (m *slotMemory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, f := range m.mu.files {
		if f != nil {
			f.Close()
			m.mu.files[i] = nil
		}
	}
}
