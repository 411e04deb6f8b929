package shuffle

import "sync/atomic"

// Traffic counts what went over the connections of an endpoint in one
// direction.
type Traffic struct {
	// Buffers and Records are those of the data frames, Frames counts events,
	// watermarks and credit as well. Bytes are payloads and headers.
	Buffers, Records, Frames, Bytes uint64
	// Calls is the number of reads or writes that it took.
	Calls uint64
}

// Stats is what an endpoint has sent to and received from other workers since
// it was made. What local channels hand over is not in it.
type Stats struct {
	Sent, Received Traffic
}

// counters are the totals of all connections of an endpoint in one direction.
type counters struct {
	buffers, records, frames, bytes, calls atomic.Uint64
}

// add moves what t counts to the totals.
func (c *counters) add(t *Traffic) {
	if t.Buffers > 0 {
		c.buffers.Add(t.Buffers)
		c.records.Add(t.Records)
	}
	c.frames.Add(t.Frames)
	c.bytes.Add(t.Bytes)
	c.calls.Add(t.Calls)
	*t = Traffic{}
}

func (c *counters) load() Traffic {
	return Traffic{
		Buffers: c.buffers.Load(),
		Records: c.records.Load(),
		Frames:  c.frames.Load(),
		Bytes:   c.bytes.Load(),
		Calls:   c.calls.Load(),
	}
}

type statistics struct {
	sent, received counters
}
