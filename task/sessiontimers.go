package task

// sessionTimer is for when there may be something to do about a session: it names
// the session by its key and its id.
type sessionTimer[K comparable] struct {
	due int64
	id  uint64
	key K
}

// before is the order of timers: by time, then by the age of the session.
func (t *sessionTimer[K]) before(other *sessionTimer[K]) bool {
	return t.due < other.due || t.due == other.due && t.id < other.id
}

// sessionTimers is a binary heap of timers.
type sessionTimers[K comparable] struct {
	heap []sessionTimer[K]
}

// due reports whether a timer is due at t.
func (h *sessionTimers[K]) due(t int64) bool { return len(h.heap) > 0 && h.heap[0].due <= t }

func (h *sessionTimers[K]) push(t sessionTimer[K]) {
	h.heap = append(h.heap, t)
	i := len(h.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(&h.heap[parent]) {
			break
		}
		h.heap[i] = h.heap[parent]
		i = parent
	}
	h.heap[i] = t
}

// drop removes the first timer.
func (h *sessionTimers[K]) drop() {
	n := len(h.heap) - 1
	last := h.heap[n]
	h.heap[n] = sessionTimer[K]{}
	h.heap = h.heap[:n]
	if n > 0 {
		h.sink(last)
	}
}

// postpone sets the first timer to a later time.
func (h *sessionTimers[K]) postpone(due int64) {
	t := h.heap[0]
	t.due = due
	h.sink(t)
}

// sink puts t in the place of the first timer.
func (h *sessionTimers[K]) sink(t sessionTimer[K]) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h.heap) {
			break
		}
		if next := child + 1; next < len(h.heap) && h.heap[next].before(&h.heap[child]) {
			child = next
		}
		if !h.heap[child].before(&t) {
			break
		}
		h.heap[i] = h.heap[child]
		i = child
	}
	h.heap[i] = t
}
