package shuffle

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/zeebo/xxh3"
)

const testPayload = 4096 - HeaderSize - SlackSize

// sealed returns the frame of h around payload.
func sealed(h header, payload []byte) []byte {
	frame := append(make([]byte, HeaderSize), payload...)
	sealFrame(frame, &h)
	return frame
}

func dataHeader() header {
	return header{
		kind:      frameData,
		flags:     uint16(RunFirst),
		length:    5,
		channel:   channelKey{edge: 0x0102, from: 0x0304, to: 0x0506},
		sequence:  0x0708,
		backlog:   0x090a,
		records:   0x0b0c,
		watermark: -2,
	}
}

// TestFrameBytes pins the wire format.
func TestFrameBytes(t *testing.T) {
	payload := []byte("hello")
	got := hex.EncodeToString(sealed(dataHeader(), payload))
	fields := strings.Join([]string{
		"5857", "01", "01", "0100", "0000", // magic, version, kind, flags
		"05000000",                         // length
		"02010000", "04030000", "06050000", // edge, from, to
		"08070000",         // sequence
		"0a090000",         // backlog
		"0c0b0000",         // records
		"00000000",         // reserved
		"feffffffffffffff", // watermark
	}, "")
	// The two checksums, by the library that the format names.
	rest := append(little64(xxh3.Hash(payload)), unhex(t, fields)...)
	want := hex.EncodeToString(little64(xxh3.Hash(rest))) + hex.EncodeToString(rest) + hex.EncodeToString(payload)
	if got != want {
		t.Fatalf("frame\n%s\nwant\n%s", got, want)
	}
	const golden = "844d9c72fe2fb8b0"
	if got[:16] != golden {
		t.Fatalf("header checksum %s, golden %s: the wire format has changed", got[:16], golden)
	}
}

func little64(v uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameRoundTrip(t *testing.T) {
	for _, h := range []header{
		dataHeader(),
		{kind: frameData, watermark: NoWatermark},
		{kind: frameWatermark, channel: channelKey{1, 2, 3}, sequence: ^uint32(0), watermark: 1 << 60},
		{kind: frameEvent, flags: flagPriority, length: 24, channel: channelKey{1, 2, 3}},
		{kind: frameCredit, channel: channelKey{1, 2, 3}, backlog: 12},
	} {
		payload := bytes.Repeat([]byte{7}, int(h.length))
		frame := sealed(h, payload)
		got, sum, err := openFrame(frame, testPayload)
		if err != nil || got != h {
			t.Errorf("sealed %+v, opened %+v, %v", h, got, err)
		}
		if err := checkPayload(&got, payload, sum); err != nil {
			t.Error(err)
		}
	}
}

// TestFrameDamage flips every bit of a frame: each flip is found, those in the
// header before anything of it is used.
func TestFrameDamage(t *testing.T) {
	frame := sealed(dataHeader(), []byte("hello"))
	for bit := range 8 * len(frame) {
		damaged := bytes.Clone(frame)
		damaged[bit/8] ^= 1 << (bit % 8)
		h, sum, err := openFrame(damaged, testPayload)
		if bit < 8*HeaderSize {
			if err == nil {
				t.Errorf("bit %d of the header flipped: not found", bit)
			}
			continue
		}
		if err != nil {
			t.Errorf("bit %d, of the payload, flipped: the header fails: %v", bit, err)
		} else if checkPayload(&h, damaged[HeaderSize:], sum) == nil {
			t.Errorf("bit %d of the payload flipped: not found", bit)
		}
	}
}

// reseal computes the header's checksum again, after its bytes were changed.
func reseal(frame []byte) []byte {
	copy(frame, little64(xxh3.Hash(frame[8:HeaderSize])))
	return frame
}

func TestFrameBounds(t *testing.T) {
	tests := []struct {
		name   string
		change func(b []byte)
		want   string
	}{
		{"magic", func(b []byte) { b[16] = 0 }, "magic 5700 version 1: want 5758 version 1"},
		{"version", func(b []byte) { b[18] = 2 }, "version 2: want 5758 version 1"},
		{"kind", func(b []byte) { b[19] = 9 }, "edge 258 channel 772→1286: frame of unknown kind 9"},
		{"kind 0", func(b []byte) { b[19] = 0 }, "unknown kind 0"},
		{"flags", func(b []byte) { b[20] = 8 }, "data frame with unknown flags 0008"},
		{"reserved", func(b []byte) { b[22] = 1 }, "reserved bytes set"},
		{"reserved 2", func(b []byte) { b[55] = 1 }, "reserved bytes set"},
		{"length", func(b []byte) { b[27] = 0xff }, "payload of 4278190085 bytes: at most 3968 are possible"},
		{"one byte too long", func(b []byte) { b[24], b[25] = 0x81, 0x0f }, "payload of 3969 bytes: at most 3968"},
		{"credit with payload", func(b []byte) { b[19], b[20] = byte(frameCredit), 0 }, "credit frame with a payload of 5 bytes: at most 0"},
		{"watermark with payload", func(b []byte) { b[19], b[20] = byte(frameWatermark), 0 }, "watermark frame with a payload of 5 bytes: at most 0"},
		{"long event", func(b []byte) { b[19], b[20], b[25] = byte(frameEvent), 0, 0x20 }, "event frame with a payload of 8197 bytes: at most 4120"},
	}
	for _, test := range tests {
		frame := sealed(dataHeader(), []byte("hello"))
		test.change(frame)
		_, _, err := openFrame(reseal(frame), testPayload)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// TestFrameReader reads frames of all sizes, in pieces of all sizes, and keeps
// to few calls.
func TestFrameReader(t *testing.T) {
	sizes := []int{0, 1, 10, 4000, smallPayload, smallPayload + 1, 32 << 10, 32 << 10, 32 << 10, 5, 5, 0, 0, 60 << 10, 100, smallPayload, 20_000}
	var stream []byte
	for i, n := range sizes {
		stream = append(stream, sealed(header{kind: frameData, sequence: uint32(i)}, bytes.Repeat([]byte{byte(i + 1)}, n))...)
	}
	readers := map[string]func() io.Reader{
		"whole":    func() io.Reader { return bytes.NewReader(stream) },
		"bytes":    func() io.Reader { return iotest.OneByteReader(bytes.NewReader(stream)) },
		"halves":   func() io.Reader { return iotest.HalfReader(bytes.NewReader(stream)) },
		"with EOF": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(stream)) },
	}
	for name, open := range readers {
		r := newFrameReader(open())
		dst := make([]byte, 64<<10+SlackSize)
		for i, n := range sizes {
			raw, err := r.header()
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
			h, sum, err := openFrame(raw, 64<<10)
			if err != nil || h.sequence != uint32(i) || int(h.length) != n {
				t.Fatalf("%s: frame %d: header %+v, %v", name, i, h, err)
			}
			if err := r.payload(dst, n); err != nil {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
			if err := checkPayload(&h, dst[:n], sum); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if _, err := r.header(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v, want io.EOF", name, err)
		}
		if name == "whole" && r.calls > 16 {
			t.Errorf("%d frames, 12 of them small, took %d reads", len(sizes), r.calls)
		}
	}
}

// TestFrameReaderCalls pins how many system calls frames cost: one each when
// they are large, few when they are small.
func TestFrameReaderCalls(t *testing.T) {
	for _, test := range []struct{ size, frames, most int }{
		{32<<10 - HeaderSize - SlackSize, 100, 102},
		{64, 1000, 5},
	} {
		var stream []byte
		for range test.frames {
			stream = append(stream, sealed(header{kind: frameData}, make([]byte, test.size))...)
		}
		r := newFrameReader(bytes.NewReader(stream))
		dst := make([]byte, 32<<10)
		for range test.frames {
			if _, err := r.header(); err != nil {
				t.Fatal(err)
			}
			if err := r.payload(dst, test.size); err != nil {
				t.Fatal(err)
			}
		}
		if r.calls > uint64(test.most) {
			t.Errorf("%d frames with %d bytes took %d reads, want at most %d", test.frames, test.size, r.calls, test.most)
		}
	}
}

func TestFrameReaderCutShort(t *testing.T) {
	frame := sealed(header{kind: frameData}, make([]byte, 10_000))
	for _, n := range []int{1, HeaderSize - 1, HeaderSize, HeaderSize + 1, len(frame) - 1} {
		r := newFrameReader(bytes.NewReader(frame[:n]))
		_, err := r.header()
		if err == nil {
			err = r.payload(make([]byte, 10_000+SlackSize), 10_000)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a stream that ends after %d bytes of a frame: %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

func TestEventRoundTrip(t *testing.T) {
	for _, e := range []Event{
		{Kind: EventEndOfInput},
		{Kind: EventBarrier, ID: 1 << 60, Timestamp: -5, Data: []byte("unaligned"), Priority: true},
		{Kind: EventBarrier, Data: make([]byte, MaxEventData)},
	} {
		got, err := decodeEvent(appendEvent(nil, &e), e.Priority)
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != e.Kind || got.ID != e.ID || got.Timestamp != e.Timestamp || got.Priority != e.Priority || !bytes.Equal(got.Data, e.Data) {
			t.Errorf("sent %+v, got %+v", e, got)
		}
	}
}

func TestEventBounds(t *testing.T) {
	valid := appendEvent(nil, &Event{Kind: EventBarrier, Data: []byte("data")})
	tests := []struct {
		name     string
		raw      []byte
		priority bool
		want     string
	}{
		{"empty", nil, false, "event of 0 bytes: want at least 24"},
		{"cut in the header", valid[:23], false, "event of 23 bytes"},
		{"cut in the data", valid[:27], false, "event of 27 bytes says that it carries 4 bytes"},
		{"longer", append(bytes.Clone(valid), 0), false, "event of 29 bytes says that it carries 4 bytes"},
		{"kind 0", append([]byte{0}, valid[1:]...), false, "event kind 0 cannot be sent"},
		{"connection lost", append([]byte{255}, valid[1:]...), false, "connection lost cannot be sent"},
		{"reserved", append([]byte{2, 1}, valid[2:]...), false, "event of 28 bytes"},
		{"end of input with priority", appendEvent(nil, &Event{Kind: EventEndOfInput}), true, "end of input cannot have priority"},
		{"too much data", appendEvent(nil, &Event{Kind: EventBarrier, Data: make([]byte, MaxEventData+1)}), false, "carries 4097 bytes: at most 4096"},
	}
	for _, test := range tests {
		_, err := decodeEvent(test.raw, test.priority)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}
