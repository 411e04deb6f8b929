package shuffle

import (
	"encoding/binary"
	"fmt"
)

// EventKind tells events apart. Other kinds than these are refused on arrival.
type EventKind uint8

// The kinds of [Event].
const (
	// EventEndOfInput is the last thing that is sent on a channel. A
	// connection whose channels have all ended may close.
	EventEndOfInput EventKind = iota + 1
	// EventBarrier separates the records before a checkpoint from those after
	// it. The shuffle carries it and knows nothing else about it.
	EventBarrier
	// EventIdle says that the channel brings nothing for a while, so that whoever
	// combines watermarks should not wait for it. The next buffer or watermark
	// ends it.
	EventIdle

	lastSentEvent = EventIdle

	// EventConnectionLost never travels: an [Inbox] delivers it, ahead of
	// everything else, when the connection to a worker that has not sent all
	// of its input was lost. Its delivery has the channel -1, since all
	// channels of the gate that come from that worker are lost at once.
	EventConnectionLost EventKind = 255
)

// String returns the kind's name as it appears in messages.
func (k EventKind) String() string {
	switch k {
	case EventEndOfInput:
		return "end of input"
	case EventBarrier:
		return "barrier"
	case EventIdle:
		return "idle"
	case EventConnectionLost:
		return "connection lost"
	}
	return fmt.Sprintf("event kind %d", uint8(k))
}

// MaxEventData bounds [Event.Data] in bytes.
const MaxEventData = 4096

// An Event travels in a channel beside the buffers. It needs no credit and
// keeps its place in the order of the channel, unless it has priority.
type Event struct {
	Kind EventKind
	// Priority lets the event overtake everything that is queued in its
	// channel at either end, but never the middle of a [Run], nor an earlier
	// event with priority.
	Priority bool
	// ID and Timestamp are the sender's: of a barrier, the checkpoint's number
	// and the time of its trigger in milliseconds since 1970.
	ID        uint64
	Timestamp int64
	// Data is the sender's, at most [MaxEventData] bytes. Neither side changes
	// it after it was sent.
	Data []byte
	// Err says why, in an event of kind [EventConnectionLost]; it wraps a
	// [*ConnectionError]. It does not travel.
	Err error
}

// check tells whether the event may be sent.
func (e *Event) check() error {
	if e.Kind == 0 || e.Kind > lastSentEvent {
		return fmt.Errorf("%v cannot be sent", e.Kind)
	}
	if e.Priority && e.Kind == EventEndOfInput {
		return fmt.Errorf("%v cannot have priority: it would overtake the input", e.Kind)
	}
	if len(e.Data) > MaxEventData {
		return fmt.Errorf("%v carries %d bytes: at most %d are allowed", e.Kind, len(e.Data), MaxEventData)
	}
	return nil
}

// On the wire an event is the payload of a frame; whether it has priority is a
// flag of the frame:
//
//	0  u8  kind
//	1  u8[3] zero
//	4  u32 length of the data
//	8  u64 id
//	16 i64 timestamp
//	24     data
const eventHeaderSize = 24

// appendEvent appends the event's wire form.
func appendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, byte(e.Kind), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.Data)))
	dst = binary.LittleEndian.AppendUint64(dst, e.ID)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Timestamp))
	return append(dst, e.Data...)
}

// decodeEvent reads what appendEvent wrote. The event keeps a reference to src.
func decodeEvent(src []byte, priority bool) (*Event, error) {
	if len(src) < eventHeaderSize {
		return nil, fmt.Errorf("event of %d bytes: want at least %d", len(src), eventHeaderSize)
	}
	n := binary.LittleEndian.Uint32(src[4:])
	if src[1]|src[2]|src[3] != 0 || uint64(n) != uint64(len(src)-eventHeaderSize) {
		return nil, fmt.Errorf("event of %d bytes says that it carries %d bytes of data", len(src), n)
	}
	e := &Event{
		Kind:      EventKind(src[0]),
		Priority:  priority,
		ID:        binary.LittleEndian.Uint64(src[8:]),
		Timestamp: int64(binary.LittleEndian.Uint64(src[16:])),
	}
	if n > 0 {
		e.Data = src[eventHeaderSize:]
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}
