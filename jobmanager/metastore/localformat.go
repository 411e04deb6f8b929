package metastore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// The layout of the directory: "lock"; "format", which holds [formatName] and the
// version; "acknowledged" (see there); "data", which is Pebble's. In Pebble a key of the store is dataSpace
// and the key, and its value is an envelope; what the store keeps for itself is
// metaSpace and a name, and 8 bytes, big-endian.
const (
	localFormat = 1
	formatName  = "weir metadata store"
	formatFile  = "format"
	dataDir     = "data"

	dataSpace = 'k'
	metaSpace = 'm'
)

var (
	// epochKey has the epoch of the last leader, revisionKey the revision of the
	// last transaction.
	epochKey    = []byte{metaSpace, 'e', 'p', 'o', 'c', 'h'}
	revisionKey = []byte{metaSpace, 'r', 'e', 'v', 'i', 's', 'i', 'o', 'n'}
)

// An envelope is a byte of its version, the revision (8 bytes), xxh3 of key,
// revision and value (8 bytes), and the value; numbers are big-endian. Pebble has
// checksums of its own; this one also finds a value that stands under another key.
const (
	envelopeVersion = 1
	envelopeHeader  = 1 + 8 + 8
)

var errEnvelope = errors.New("it is not what was written for this key")

func seal(key string, revision Revision, value []byte) []byte {
	sealed := make([]byte, envelopeHeader, envelopeHeader+len(value))
	sealed[0] = envelopeVersion
	binary.BigEndian.PutUint64(sealed[1:], uint64(revision))
	binary.BigEndian.PutUint64(sealed[9:], checksum(key, sealed[1:9], value))
	return append(sealed, value...)
}

// unseal reads an envelope. The value is a copy.
func unseal(key string, sealed []byte) (Entry, error) {
	switch {
	case len(sealed) < envelopeHeader:
		return Entry{}, fmt.Errorf("it has %d bytes, want at least %d", len(sealed), envelopeHeader)
	case sealed[0] != envelopeVersion:
		return Entry{}, fmt.Errorf("its version is %d, want %d", sealed[0], envelopeVersion)
	case len(sealed)-envelopeHeader > MaxValue:
		return Entry{}, fmt.Errorf("it has %d bytes, at most %d", len(sealed)-envelopeHeader, MaxValue)
	}
	value := sealed[envelopeHeader:]
	revision := Revision(binary.BigEndian.Uint64(sealed[1:]))
	if revision <= 0 || binary.BigEndian.Uint64(sealed[9:]) != checksum(key, sealed[1:9], value) {
		return Entry{}, errEnvelope
	}
	return Entry{Key: key, Value: bytes.Clone(value), Revision: revision}, nil
}

func checksum(key string, revision, value []byte) uint64 {
	var h xxh3.Hasher
	_, _ = h.WriteString(key) // A hash cannot fail.
	_, _ = h.Write(revision)  // Eight bytes, so that key and value cannot run into each other.
	_, _ = h.Write(value)
	return h.Sum64()
}

// writeFormat names the format of a new directory: the file is there as a whole or
// not at all.
func writeFormat(dir string) error {
	f, err := os.CreateTemp(dir, "."+formatFile+"-*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatName, localFormat)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, formatFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFormat returns the version that a directory has, and 0 for one that has none
// yet.
func readFormat(dir string) (int, error) {
	f, err := os.Open(filepath.Join(dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, systemError(err, "read the format of the metadata store in %s", dir)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return 0, systemError(err, "read the format of the metadata store in %s", dir)
	}
	return parseFormat(filepath.Join(dir, formatFile), content)
}

// parseFormat reads what the file, or in etcd the key, of the format holds.
func parseFormat(where string, content []byte) (int, error) {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(string(content), "\n"), formatName+" ")
	version, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case !ok || err != nil || version == 0:
		return 0, failure(ErrCorrupt, nil, "%s: %.60q is no format of a metadata store", where, content)
	case version > localFormat:
		return 0, failure(ErrFormat, nil, "%s: format %d, this version of Weir reads up to %d; start a version that is at least as new as the last one",
			where, version, localFormat)
	}
	return int(version), nil
}
