package task

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
	"github.com/weirstream/weir/state/snapshot"
)

// keyedWriter writes the entries of a keyed section: the key, and what append adds.
type keyedWriter[K comparable] struct {
	w    *snapshot.Writer
	kind *key.Kind[K]
	buf  []byte
}

func (w *keyedWriter[K]) write(k *K, append func(dst []byte) []byte) error {
	w.buf = append(w.kind.Append(w.buf[:0], k))
	return w.w.Keyed(key.Group(w.kind.HashOne(*k)), w.buf)
}

// writeTable writes what a table held when the snapshot was taken.
func writeTable[K comparable, A any](w *keyedWriter[K], s *memory.Snapshot[K, A], append func(dst []byte, a *A) []byte) error {
	for slots, ok := s.Next(); ok; slots, ok = s.Next() {
		for i := range slots {
			slot := &slots[i]
			if err := w.write(&slot.Key, func(dst []byte) []byte { return append(dst, &slot.Acc) }); err != nil {
				return err
			}
		}
	}
	if !s.Complete() {
		return errGivenUp
	}
	return nil
}

// keyedSection has the shapes of the keys and of what is kept for each.
func keyedSection[K comparable](kind *key.Kind[K], shape []byte) []byte {
	return slices.Concat(appendUvarint(nil, uint64(len(kind.Shape()))), kind.Shape(), shape)
}

// registerKeyed adds a section of entries of keys to the task's snapshots.
func registerKeyed[K comparable](ctx *Context, name string, kind *key.Kind[K], shape []byte, f func() capture) {
	if ctx.checkpoints != nil {
		ctx.register(name, snapshot.Keyed, keyedSection(kind, shape), f)
	}
}

// tableCapture is the capture of one table.
func tableCapture[K comparable, A any](kind *key.Kind[K], t *memory.Table[K, A], append func(dst []byte, a *A) []byte) capture {
	s := t.Snapshot()
	return capture{
		write: func(w *snapshot.Writer) error {
			return writeTable(&keyedWriter[K]{w: w, kind: kind}, s, append)
		},
		close: s.Close,
	}
}

// registerTable adds a table with an A for each key to the task's snapshots, and
// fills it with what is restored.
func registerTable[K comparable, A any](ctx *Context, name string, kind *key.Kind[K], t *memory.Table[K, A], clone func(*A) A) error {
	if ctx.checkpoints == nil {
		return nil
	}
	c, err := stateCodecOf[A]()
	if err != nil {
		return err
	}
	if clone == nil {
		clone = c.clone
	}
	t.CloneWith(clone)
	registerKeyed(ctx, name, kind, c.shape, func() capture { return tableCapture(kind, t, c.append) })
	return restoreKeyed(ctx, name, kind, func(shape []byte) (func(K, string) error, error) {
		read, err := c.reader(shape)
		return func(k K, src string) error {
			slot, _ := t.Insert(k, kind.HashOne(k))
			return last(read(src, t.At(slot)))
		}, err
	})
}

// last is the end of reading an entry.
func last(rest string, err error) error {
	if err == nil && rest != "" {
		return fmt.Errorf("%d bytes are left over", len(rest))
	}
	return err
}

// restoreKeyed calls what begin returns, given how entries were written, for each
// entry of the section with a name that belongs to this subtask.
func restoreKeyed[K comparable](ctx *Context, name string, kind *key.Kind[K], begin func(shape []byte) (func(k K, src string) error, error)) error {
	if ctx.checkpoints == nil {
		return nil
	}
	first, end := key.GroupRange(ctx.Subtask, ctx.Parallelism)
	return ctx.checkpoints.each(name, func(f *restoredFile, section int) error {
		keys, values, err := takeBytes(string(f.reader.Sections()[section].Shape))
		if err != nil {
			return fmt.Errorf("its shape: %w", err)
		}
		if err := kind.Accepts([]byte(keys)); err != nil {
			return err
		}
		take, err := begin([]byte(values))
		if err != nil {
			return err
		}
		for entry, err := range f.reader.Keyed(section, first, end) {
			if err != nil {
				return err
			}
			var k K
			n, err := kind.Decode(entry, &k)
			if err == nil {
				err = take(k, string(entry[n:]))
			}
			if err != nil {
				return fmt.Errorf("an entry: %w", err)
			}
		}
		return nil
	})
}
