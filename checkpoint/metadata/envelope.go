package metadata

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the version of the format that [Encode] writes, and the newest one
// that [Decode] reads.
const Version = 1

// MaxSize is the greatest length of a file in bytes. Who reads one from storage
// need not read more.
const MaxSize = 1 << 30

const (
	magic        = "WEIRMETA"
	envelopeSize = 56
)

var (
	// ErrTruncated says that the file lacks its end.
	ErrTruncated = errors.New("truncated checkpoint metadata")
	// ErrCorrupt says that the file's bytes are not what was written, or are no
	// metadata.
	ErrCorrupt = errors.New("corrupt checkpoint metadata")
	// ErrVersion says that a newer program wrote the file.
	ErrVersion = errors.New("checkpoint metadata of a newer version")
)

// Encode returns the file of a checkpoint. It refuses what [Decode] would.
func Encode(m *Metadata) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode metadata of checkpoint %d of job %v: %w", m.ID, m.Job, err)
	}
	file, err := appendMessage(make([]byte, envelopeSize), m)
	if err != nil {
		return nil, fmt.Errorf("encode metadata of checkpoint %d of job %v: %w", m.ID, m.Job, err)
	}
	if len(file) > MaxSize {
		return nil, fmt.Errorf("encode metadata of checkpoint %d of job %v: it has %d bytes: at most %d are possible; "+
			"snapshots that are not inline take less", m.ID, m.Job, len(file), MaxSize)
	}
	seal(file, Version)
	return file, nil
}

// Decode reads the file of a checkpoint. It returns [ErrVersion] for a file of a
// newer version, [ErrTruncated] for one that is too short and [ErrCorrupt] for one
// that is damaged or cannot be. The result shares no memory with the file.
func Decode(file []byte) (*Metadata, error) {
	if err := unseal(file); err != nil {
		return nil, err
	}
	m, err := parseMessage(file[envelopeSize:])
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

// seal writes the envelope into the first bytes of the file, whose rest is the
// message.
func seal(file []byte, version uint32) {
	le := binary.LittleEndian
	copy(file, magic)
	le.PutUint32(file[8:], version)
	le.PutUint32(file[12:], 0)
	le.PutUint64(file[16:], uint64(len(file)-envelopeSize))
	digest := digestOf(file)
	copy(file[24:], digest[:])
}

func digestOf(file []byte) (digest [32]byte) {
	h := sha256.New()
	_, _ = h.Write(file[:24]) // hash.Hash never returns an error
	_, _ = h.Write(file[envelopeSize:])
	h.Sum(digest[:0])
	return digest
}

// unseal verifies the envelope of a file.
func unseal(file []byte) error {
	le := binary.LittleEndian
	switch {
	case len(file) > MaxSize:
		return fmt.Errorf("%w: it has %d bytes: at most %d are possible", ErrCorrupt, len(file), MaxSize)
	case string(file[:min(len(file), 8)]) != magic[:min(len(file), 8)]:
		return fmt.Errorf("%w: it begins with %q: metadata begins with %q", ErrCorrupt, file[:min(len(file), 8)], magic)
	case len(file) < envelopeSize:
		return fmt.Errorf("%w: %d bytes are less than its envelope", ErrTruncated, len(file))
	}
	length, have := le.Uint64(file[16:]), uint64(len(file)-envelopeSize)
	if length > have && length <= MaxSize {
		return fmt.Errorf("%w: it has %d of %d bytes", ErrTruncated, have, length)
	}
	if length != have {
		return fmt.Errorf("%w: it has %d bytes, %d were written", ErrCorrupt, have, length)
	}
	if got := digestOf(file); got != [32]byte(file[24:envelopeSize]) {
		return fmt.Errorf("%w: it has digest %x, its bytes have %x", ErrCorrupt, file[24:envelopeSize], got)
	}
	version := le.Uint32(file[8:])
	if version > Version {
		return fmt.Errorf("%w: it has version %d, this program reads up to version %d: restore with the program that wrote it, or a later one",
			ErrVersion, version, Version)
	}
	if version == 0 || le.Uint32(file[12:]) != 0 {
		return fmt.Errorf("%w: it has version %d and reserved bytes %08x: want a version from 1, and zero", ErrCorrupt, version, le.Uint32(file[12:]))
	}
	return nil
}
