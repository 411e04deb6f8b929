package task

import (
	"fmt"

	"github.com/weirstream/weir/state/snapshot"
)

const splitSection = "splits"

// register adds the splits that are being read to the task's snapshots, and begins to
// read those that are restored: its own, or a share of all where the parallelism was
// another one.
func (h *sourceHead[T]) register() error {
	h.ctx.register(splitSection, snapshot.List, nil, func() capture {
		list, err := h.positions()
		if err != nil {
			return capture{close: func() {}, write: func(*snapshot.Writer) error { return err }}
		}
		return entries(list...)
	})
	return h.ctx.restoreShare(splitSection, func(entry string) error {
		var p splitPosition
		if err := p.decode(entry); err != nil {
			return err
		}
		return h.open(p.split, p.position, p.watermarks)
	})
}

// positions returns the entries of the splits.
func (h *sourceHead[T]) positions() (list [][]byte, err error) {
	for i := range h.readers {
		r := &h.readers[i]
		p := splitPosition{split: r.split}
		if p.position, err = r.reader.Position(); err != nil {
			return nil, fmt.Errorf("position in split %q: %w", r.split.ID, err)
		}
		for _, o := range h.observers {
			p.watermarks = append(p.watermarks, o.watermark(r.number))
		}
		list = append(list, p.append(nil))
	}
	return list, nil
}

// splitPosition is how far a split was read: its id, what the source says of it, the
// position, and what the observers' watermarks of it were.
type splitPosition struct {
	split      Split
	position   []byte
	watermarks []int64
}

func (p *splitPosition) append(dst []byte) []byte {
	for _, b := range []string{p.split.ID, string(p.split.Data), string(p.position)} {
		dst = append(appendUvarint(dst, uint64(len(b))), b...)
	}
	dst = appendUvarint(dst, uint64(len(p.watermarks)))
	for _, w := range p.watermarks {
		dst = appendVarint(dst, w)
	}
	return dst
}

func (p *splitPosition) decode(src string) (err error) {
	var parts [3]string
	for i := range parts {
		if parts[i], src, err = takeBytes(src); err != nil {
			return err
		}
	}
	p.split, p.position = Split{ID: parts[0], Data: []byte(parts[1])}, []byte(parts[2])
	p.watermarks, src, err = takeList(src, func(src string, w *int64) (rest string, err error) {
		*w, rest, err = takeVarint(src)
		return rest, err
	})
	return last(src, err)
}

// takeBytes takes a length and so many bytes from the front of src.
func takeBytes(src string) (b, rest string, err error) {
	n, src, err := takeUvarint(src)
	if err != nil || n > uint64(len(src)) {
		return "", "", errShort
	}
	return src[:n], src[n:], nil
}
