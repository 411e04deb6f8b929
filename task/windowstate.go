package task

import (
	"errors"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
	"github.com/weirstream/weir/state/snapshot"
)

// The state of windows in snapshots. The entry of a key's pane is the key, the
// beginning of the pane, a byte that is 1 if it has fired, and the accumulator. The
// watermark is an entry of its own.
const (
	paneSection      = "panes"
	watermarkSection = "watermark"
)

// register adds the panes to the task's snapshots, and takes what is restored.
func (p *panes[K, A]) register(ctx *Context, lateness int64, adder any) error {
	if ctx.checkpoints == nil {
		return nil
	}
	c, err := stateCodecOf[A]()
	if err != nil {
		return err
	}
	p.clone = c.clone
	watermark, err := ctx.registerTime(watermarkSection, func() int64 { return p.watermark })
	if err != nil {
		return err
	}
	registerKeyed(ctx, paneSection, p.kind, c.shape, func() capture { return p.capture(c) })
	err = restoreKeyed(ctx, paneSection, p.kind, func(shape []byte) (func(K, string) error, error) {
		read, err := c.reader(shape)
		return func(k K, src string) error {
			a, err := p.restore(k, src, read)
			if err == nil {
				resume(adder, a)
			}
			return err
		}, err
	})
	p.advance(watermark, lateness)
	return err
}

// capture takes a snapshot of each open pane.
func (p *panes[K, A]) capture(c stateCodec[A]) capture {
	type part struct {
		start int64
		fired bool
		state *memory.Snapshot[K, A]
	}
	var parts []part
	for _, open := range p.open {
		parts = append(parts, part{open.start, open.fired, open.table.Snapshot()})
	}
	return capture{
		write: func(w *snapshot.Writer) error {
			k := &keyedWriter[K]{w: w, kind: p.kind}
			for _, part := range parts {
				if err := writeTable(k, part.state, func(dst []byte, a *A) []byte {
					return c.append(append(appendVarint(dst, part.start), flag(part.fired)), a)
				}); err != nil {
					return err
				}
			}
			return nil
		},
		close: func() {
			for _, part := range parts {
				part.state.Close()
			}
		},
	}
}

// restore takes the entry of a key.
func (p *panes[K, A]) restore(k K, src string, read func(string, *A) (string, error)) (*A, error) {
	start, src, err := takeVarint(src)
	if err != nil {
		return nil, err
	}
	fired, src, err := takeFlag(src)
	if err != nil {
		return nil, err
	}
	pane, err := p.at(max(start, NoTime+1)) // which stands for a record without a time
	if err != nil {
		return nil, err
	}
	pane.fired = fired
	slot, _ := pane.table.Insert(k, p.kind.HashOne(k))
	return pane.table.At(slot), last(read(src, pane.table.At(slot)))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func takeFlag(src string) (b bool, rest string, err error) {
	if src == "" || src[0] > 1 {
		return false, "", errors.New("a byte that must be 0 or 1 is not")
	}
	return src[0] == 1, src[1:], nil
}

// register adds the panes to the task's snapshots, and takes what is restored. How
// windows are made of panes follows from the panes.
func (r *slidingReceiver[K, T, A, O]) register() error {
	if r.ctx.checkpoints == nil {
		return nil
	}
	c, err := stateCodecOf[A]()
	if err != nil {
		return err
	}
	watermark, err := r.ctx.registerTime(watermarkSection, func() int64 { return r.watermark })
	if err != nil {
		return err
	}
	if watermark != NoTime {
		r.advance(watermark)
	}
	s := r.store
	registerKeyed(r.ctx, paneSection, s.ids.kind, c.shape, func() capture { return s.capture(c) })
	return restoreKeyed(r.ctx, paneSection, s.ids.kind, func(shape []byte) (func(K, string) error, error) {
		read, err := c.reader(shape)
		return func(k K, src string) error {
			start, src, err := takeVarint(src)
			if err != nil {
				return err
			}
			start = max(start, NoTime+1)
			p := s.pane(s.slides.pane(start), start)
			acc := p.col.at(r.find(p, []K{k}, []uint64{s.ids.kind.HashOne(k)})[0], nil)
			if err := last(read(src, acc)); err != nil {
				return err
			}
			resume(r.agg.Adder, acc)
			return nil
		}, err
	})
}

// capture copies the panes: what they hold changes in too many places to be copied
// when it does.
func (s *slidingStore[K, A]) capture(c stateCodec[A]) capture {
	type part struct {
		start int64
		col   column[A]
	}
	var parts []part
	for _, p := range s.open {
		parts = append(parts, part{p.start, p.col.copy(c.clone)})
	}
	keys, kind := append([]K(nil), s.ids.keys...), s.ids.kind
	return capture{close: func() {}, write: func(w *snapshot.Writer) error {
		k := &keyedWriter[K]{w: w, kind: kind}
		for i := range parts {
			part := &parts[i]
			if err := part.col.each(func(id int, a *A) error {
				return k.write(&keys[id], func(dst []byte) []byte { return c.append(appendVarint(dst, part.start), a) })
			}); err != nil {
				return err
			}
		}
		return nil
	}}
}

// resumer is an Adder that goes on from the accumulators of a snapshot.
type resumer[A any] interface{ resume(acc *A) }

// resume tells an Adder of an accumulator that was restored.
func resume[A any](adder any, acc *A) {
	if r, ok := adder.(resumer[A]); ok {
		r.resume(acc)
	}
}

// register adds the sessions to the task's snapshots, and takes what is restored. The
// entry of a session is its key, the times of its first and its last record, its
// number, whether it has fired, and its accumulator.
func (r *sessionReceiver[K, T, A, O]) register() error {
	if r.ctx.checkpoints == nil {
		return nil
	}
	c, err := stateCodecOf[A]()
	if err != nil {
		return err
	}
	kind := r.keyed.selector.kind
	r.table.CloneWith(r.clone(c))
	if r.watermark, err = r.ctx.registerTime(watermarkSection, func() int64 { return r.watermark }); err != nil {
		return err
	}
	registerKeyed(r.ctx, "sessions", kind, c.shape, func() capture { return r.capture(kind, c) })
	return restoreKeyed(r.ctx, "sessions", kind, func(shape []byte) (func(K, string) error, error) {
		read, err := c.reader(shape)
		return func(k K, src string) error {
			var s session[A]
			if err := s.decode(src, read); err != nil {
				return err
			}
			resume(r.agg.Adder, &s.acc)
			r.opened = max(r.opened, s.id)
			slot, _ := r.table.Insert(k, kind.HashOne(k))
			sessions := r.table.At(slot)
			s.due = r.next(&s)
			r.timers.push(sessionTimer[K]{due: s.due, id: s.id, key: *r.table.KeyAt(slot)})
			r.lists.insert(sessions, r.lists.search(sessions, s.first, r.gap), s)
			return nil
		}, err
	})
}

// clone returns how the latest session of a key is copied.
func (r *sessionReceiver[K, T, A, O]) clone(c stateCodec[A]) func(*keySessions[A]) keySessions[A] {
	if c.clone == nil {
		return nil
	}
	return func(k *keySessions[A]) keySessions[A] {
		copied := *k
		copied.latest.acc = c.clone(&k.latest.acc)
		return copied
	}
}

// capture takes a snapshot of the table, and copies the lists, which few keys have.
func (r *sessionReceiver[K, T, A, O]) capture(kind *key.Kind[K], c stateCodec[A]) capture {
	table, lists := r.table.Snapshot(), make([][]session[A], len(r.lists.lists))
	for i, list := range r.lists.lists {
		lists[i] = append(lists[i], list...)
		for j := range lists[i] {
			if c.clone != nil {
				lists[i][j].acc = c.clone(&lists[i][j].acc)
			}
		}
	}
	return capture{close: table.Close, write: func(w *snapshot.Writer) error {
		k := &keyedWriter[K]{w: w, kind: kind}
		for slots, ok := table.Next(); ok; slots, ok = table.Next() {
			for i := range slots {
				sessions := &slots[i].Acc
				var earlier []session[A]
				if sessions.earlier > 0 {
					earlier = lists[sessions.earlier-1]
				}
				for j := range len(earlier) + 1 {
					s := &sessions.latest
					if j < len(earlier) {
						s = &earlier[j]
					}
					if s.id == 0 {
						continue
					}
					if err := k.write(&slots[i].Key, func(dst []byte) []byte { return s.append(dst, c) }); err != nil {
						return err
					}
				}
			}
		}
		if !table.Complete() {
			return errGivenUp
		}
		return nil
	}}
}

func (s *session[A]) append(dst []byte, c stateCodec[A]) []byte {
	dst = appendVarint(appendVarint(dst, s.first), s.last)
	return c.append(append(appendUvarint(dst, s.id), flag(s.fired)), &s.acc)
}

func (s *session[A]) decode(src string, read func(string, *A) (string, error)) (err error) {
	if s.first, src, err = takeVarint(src); err != nil {
		return err
	}
	if s.last, src, err = takeVarint(src); err != nil {
		return err
	}
	if s.id, src, err = takeUvarint(src); err != nil {
		return err
	}
	if s.fired, src, err = takeFlag(src); err != nil {
		return err
	}
	return last(read(src, &s.acc))
}
