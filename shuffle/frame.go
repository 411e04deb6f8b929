package shuffle

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"
)

// A frame is a header of 64 bytes and a payload, little endian:
//
//	0  u64 checksum of bytes 8 to 63
//	8  u64 checksum of the payload; 0 without one
//	16 u16 magic
//	18 u8  version
//	19 u8  kind
//	20 u16 flags
//	22 u16 zero
//	24 u32 length of the payload in bytes
//	28 u32 edge       \
//	32 u32 from        > the channel; a subtask sends, a subtask receives
//	36 u32 to         /
//	40 u32 sequence: what is sent on a channel is numbered from 0, and wraps
//	44 u32 backlog: buffers that wait behind this one; of credit: how much
//	48 u32 records
//	52 u32 zero
//	56 i64 watermark
//
// The header has a checksum of its own, so that a damaged length is found
// before anybody waits for as many bytes. Both are xxh3 of 64 bits.
const (
	frameMagic   = 0x5758
	frameVersion = 1
)

type frameKind uint8

const (
	frameData      frameKind = 1 // payload: a buffer; needs credit
	frameWatermark frameKind = 2 // no payload
	frameEvent     frameKind = 3 // payload: an event
	frameCredit    frameKind = 4 // no payload; sent by the channel's receiver
)

func (k frameKind) String() string {
	switch k {
	case frameData:
		return "data"
	case frameWatermark:
		return "watermark"
	case frameEvent:
		return "event"
	case frameCredit:
		return "credit"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

const (
	// flagRun masks the [Run] of a data frame, flagMark is its [Buffer.Mark].
	flagRun  uint16 = 3
	flagMark uint16 = 4
	// flagPriority is set in the frame of an event with priority.
	flagPriority uint16 = 1
)

// maxEventFrame bounds the payload of an event frame.
const maxEventFrame = eventHeaderSize + MaxEventData

// channelKey names a channel: both its ends and the wire use it.
type channelKey struct {
	edge, from, to uint32
}

func (k channelKey) String() string {
	return fmt.Sprintf("edge %d channel %d→%d", k.edge, k.from, k.to)
}

// header is the decoded form of a frame's header. Its two checksums are apart,
// since they are made of the encoded form.
type header struct {
	kind      frameKind
	flags     uint16
	length    uint32
	channel   channelKey
	sequence  uint32
	backlog   uint32
	records   uint32
	watermark int64
}

// sealFrame writes h and the checksums into the first 64 bytes of frame, whose
// rest is the payload.
func sealFrame(frame []byte, h *header) {
	b := frame[:HeaderSize:HeaderSize]
	payload := frame[HeaderSize:]
	var sum uint64
	if len(payload) > 0 {
		sum = xxh3.Hash(payload)
	}
	le := binary.LittleEndian
	le.PutUint64(b[8:], sum)
	le.PutUint16(b[16:], frameMagic)
	b[18], b[19] = frameVersion, byte(h.kind)
	le.PutUint16(b[20:], h.flags)
	le.PutUint16(b[22:], 0)
	le.PutUint32(b[24:], uint32(len(payload)))
	le.PutUint32(b[28:], h.channel.edge)
	le.PutUint32(b[32:], h.channel.from)
	le.PutUint32(b[36:], h.channel.to)
	le.PutUint32(b[40:], h.sequence)
	le.PutUint32(b[44:], h.backlog)
	le.PutUint32(b[48:], h.records)
	le.PutUint32(b[52:], 0)
	le.PutUint64(b[56:], uint64(h.watermark))
	le.PutUint64(b, xxh3.Hash(b[8:]))
}

// openFrame reads the first 64 bytes of b, verifies their checksum and every
// bound, and returns the header and the checksum that the payload must have.
// maxPayload is what fits into a buffer of the receiver.
func openFrame(b []byte, maxPayload int) (header, uint64, error) {
	b = b[:HeaderSize:HeaderSize]
	le := binary.LittleEndian
	if want, got := le.Uint64(b), xxh3.Hash(b[8:]); want != got {
		return header{}, 0, fmt.Errorf("frame header has checksum %016x, its bytes have %016x", want, got)
	}
	if magic := le.Uint16(b[16:]); magic != frameMagic || b[18] != frameVersion {
		return header{}, 0, fmt.Errorf("frame has magic %04x version %d: want %04x version %d", magic, b[18], frameMagic, frameVersion)
	}
	h := header{
		kind:      frameKind(b[19]),
		flags:     le.Uint16(b[20:]),
		length:    le.Uint32(b[24:]),
		channel:   channelKey{edge: le.Uint32(b[28:]), from: le.Uint32(b[32:]), to: le.Uint32(b[36:])},
		sequence:  le.Uint32(b[40:]),
		backlog:   le.Uint32(b[44:]),
		records:   le.Uint32(b[48:]),
		watermark: int64(le.Uint64(b[56:])),
	}
	if le.Uint16(b[22:]) != 0 || le.Uint32(b[52:]) != 0 {
		return header{}, 0, fmt.Errorf("%v: %v frame has reserved bytes set", h.channel, h.kind)
	}
	if err := h.check(maxPayload); err != nil {
		return header{}, 0, fmt.Errorf("%v: %w", h.channel, err)
	}
	return h, le.Uint64(b[8:]), nil
}

// check bounds the fields by the kind of the frame.
func (h *header) check(maxPayload int) error {
	var limit int
	var flags uint16
	switch h.kind {
	case frameData:
		limit, flags = maxPayload, flagRun|flagMark
	case frameEvent:
		limit, flags = maxEventFrame, flagPriority
	case frameWatermark, frameCredit:
	default:
		return fmt.Errorf("frame of unknown kind %d", uint8(h.kind))
	}
	if uint64(h.length) > uint64(limit) {
		return fmt.Errorf("%v frame with a payload of %d bytes: at most %d are possible", h.kind, h.length, limit)
	}
	if h.flags&^flags != 0 {
		return fmt.Errorf("%v frame with unknown flags %04x", h.kind, h.flags)
	}
	return nil
}

// checkPayload verifies a payload against the checksum in its header.
func checkPayload(h *header, payload []byte, want uint64) error {
	var got uint64
	if len(payload) > 0 {
		got = xxh3.Hash(payload)
	}
	if got != want {
		return fmt.Errorf("%v: %v frame %d of %d bytes has checksum %016x, its bytes have %016x", h.channel, h.kind, h.sequence, len(payload), want, got)
	}
	return nil
}
