package shuffle

// fifo is a queue in a ring that doubles when it is full and never shrinks:
// once it has seen its largest length it allocates no more. The zero value is
// an empty queue.
type fifo[T any] struct {
	ring []T // its length is zero or a power of two
	head int
	n    int
}

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

// pop takes the oldest value. The queue must not be empty.
func (q *fifo[T]) pop() T {
	var zero T
	slot := &q.ring[q.head]
	v := *slot
	*slot = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return v
}

// front is the oldest value, in place. The queue must not be empty.
func (q *fifo[T]) front() *T { return &q.ring[q.head] }

// back is the youngest value, in place. The queue must not be empty.
func (q *fifo[T]) back() *T { return &q.ring[(q.head+q.n-1)&(len(q.ring)-1)] }

func (q *fifo[T]) grow() {
	ring := make([]T, max(4, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
