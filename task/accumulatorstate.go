package task

import (
	"slices"
)

// StateError returns what is wrong with the operator's state for checkpoints.
func (w TumblingAggregate[K, T, A, O]) StateError() error { return stateError[A]() }

// StateError returns what is wrong with the operator's state for checkpoints.
func (w SlidingAggregate[K, T, A, O]) StateError() error { return stateError[A]() }

// StateError returns what is wrong with the operator's state for checkpoints.
func (w SessionAggregate[K, T, A, O]) StateError() error { return stateError[A]() }

// StateError returns what is wrong with the operator's state for checkpoints.
func (r RunningAggregate[K, T, A, O]) StateError() error { return stateError[A]() }

// StateError returns what is wrong with the operator's state for checkpoints.
func (w CountAggregate[K, T, A, O]) StateError() error {
	if w.Size == w.Slide {
		return stateError[A]()
	}
	return stateError[T]()
}

func stateError[A any]() error {
	_, err := stateCodecOf[A]()
	return err
}

// stateCodec implements [ownCodec]: the records, each with its place or without any.
func (Collected[T]) stateCodec() (stateCodec[Collected[T]], error) {
	c, err := stateCodecOf[T]()
	if err != nil {
		return stateCodec[Collected[T]]{}, err
	}
	return stateCodec[Collected[T]]{
		shape: c.shape,
		append: func(dst []byte, a *Collected[T]) []byte {
			dst = append(appendList(dst, a.values, c.append), flag(len(a.places) > 0))
			for _, p := range a.places {
				dst = appendVarint(dst, p)
			}
			return dst
		},
		reader: func(shape []byte) (func(string, *Collected[T]) (string, error), error) {
			read, err := c.reader(shape)
			return func(src string, a *Collected[T]) (rest string, err error) {
				if a.values, src, err = takeList(src, read); err != nil {
					return "", err
				}
				numbered, src, err := takeFlag(src)
				if !numbered || err != nil {
					return src, err
				}
				a.places = make([]int64, len(a.values))
				for i := range a.places {
					if a.places[i], src, err = takeVarint(src); err != nil {
						return "", err
					}
				}
				return src, nil
			}, err
		},
		// Records are added behind those that are there, whose places do not change.
		clone: func(a *Collected[T]) Collected[T] { return Collected[T]{slices.Clip(a.values), slices.Clip(a.places)} },
	}, nil
}

// resume implements [resumer].
func (s *sequence[T]) resume(acc *Collected[T]) {
	if len(acc.places) > 0 {
		s.next = max(s.next, slices.Max(acc.places)+1)
	}
}

// stateCodec implements [ownCodec].
func (counting[A]) stateCodec() (stateCodec[counting[A]], error) {
	c, err := stateCodecOf[A]()
	if err != nil {
		return stateCodec[counting[A]]{}, err
	}
	s := stateCodec[counting[A]]{
		shape:  c.shape,
		append: func(dst []byte, w *counting[A]) []byte { return c.append(appendUvarint(dst, uint64(w.n)), &w.acc) },
		reader: func(shape []byte) (func(string, *counting[A]) (string, error), error) {
			read, err := c.reader(shape)
			return func(src string, w *counting[A]) (string, error) {
				n, src, err := takeUvarint(src)
				if err != nil {
					return "", err
				}
				w.n = int(n)
				return read(src, &w.acc)
			}, err
		},
	}
	if c.clone != nil {
		s.clone = func(w *counting[A]) counting[A] { return counting[A]{n: w.n, acc: c.clone(&w.acc)} }
	}
	return s, nil
}

// stateCodec implements [ownCodec]: the records, the oldest first.
func (lastRecords[T]) stateCodec() (stateCodec[lastRecords[T]], error) {
	c, err := stateCodecOf[T]()
	if err != nil {
		return stateCodec[lastRecords[T]]{}, err
	}
	return stateCodec[lastRecords[T]]{
		shape: c.shape,
		append: func(dst []byte, l *lastRecords[T]) []byte {
			older, newer := l.inOrder()
			return appendList(appendUvarint(dst, uint64(l.since)), slices.Concat(older, newer), c.append)
		},
		reader: func(shape []byte) (func(string, *lastRecords[T]) (string, error), error) {
			read, err := c.reader(shape)
			return func(src string, l *lastRecords[T]) (string, error) {
				since, src, err := takeUvarint(src)
				if err != nil {
					return "", err
				}
				l.since = int(since)
				l.ring, src, err = takeList(src, read)
				return src, err
			}, err
		},
		clone: func(l *lastRecords[T]) lastRecords[T] {
			return lastRecords[T]{ring: slices.Clone(l.ring), oldest: l.oldest, since: l.since}
		},
	}, nil
}

func appendList[T any](dst []byte, list []T, append func([]byte, *T) []byte) []byte {
	dst = appendUvarint(dst, uint64(len(list)))
	for i := range list {
		dst = append(dst, &list[i])
	}
	return dst
}

// takeList reads a list from the front of src. A value may take no byte at all, so
// its length says nothing of what is to be allocated at once.
func takeList[T any](src string, read func(string, *T) (string, error)) (list []T, rest string, err error) {
	n, src, err := takeUvarint(src)
	if err != nil {
		return nil, "", err
	}
	list = make([]T, 0, min(n, uint64(len(src))))
	for range n {
		var v T
		if src, err = read(src, &v); err != nil {
			return nil, "", err
		}
		list = append(list, v)
	}
	return list, src, nil
}
