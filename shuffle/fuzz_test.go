package shuffle

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzFrame feeds a connection's bytes to the frame reader and to the decoders
// of headers and events: whatever comes, nothing larger than a buffer is asked
// for, and what is accepted is what sealFrame writes.
func FuzzFrame(f *testing.F) {
	f.Add(sealed(dataHeader(), []byte("hello")))
	f.Add(sealed(header{kind: frameWatermark, watermark: 7}, nil))
	f.Add(sealed(header{kind: frameCredit, channel: channelKey{1, 2, 3}, backlog: 16}, nil))
	f.Add(sealed(header{kind: frameEvent, flags: flagPriority}, appendEvent(nil, &Event{Kind: EventBarrier, ID: 3, Data: []byte("x")})))
	f.Add(append(sealed(header{kind: frameData, sequence: 1}, bytes.Repeat([]byte{1}, 5000)), sealed(header{kind: frameCredit}, nil)...))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
	f.Add(make([]byte, HeaderSize))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const maxPayload = 8 << 10
		// The fuzzer does not find checksums: they are made right for it.
		stream = bytes.Clone(stream)
		if len(stream) >= HeaderSize {
			reseal(stream)
		}
		r := newFrameReader(bytes.NewReader(stream))
		dst := make([]byte, maxPayload+SlackSize)
		for {
			raw, err := r.header()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("a stream in memory fails with %v", err)
				}
				return
			}
			raw = bytes.Clone(raw)
			h, sum, err := openFrame(raw, maxPayload)
			if err != nil {
				return
			}
			if err := r.payload(dst, int(h.length)); err != nil {
				return
			}
			payload := dst[:h.length]
			if h.kind == frameEvent {
				checkEvent(t, payload, h.flags&flagPriority != 0)
			}
			if checkPayload(&h, payload, sum) != nil {
				return
			}
			if again := sealed(h, payload); !bytes.Equal(again[:HeaderSize], raw) {
				t.Fatalf("accepted header %x, written again it is %x", raw, again[:HeaderSize])
			}
		}
	})
}

// checkEvent verifies that an event that is accepted is what appendEvent writes.
func checkEvent(t *testing.T, payload []byte, priority bool) {
	t.Helper()
	e, err := decodeEvent(payload, priority)
	if err != nil {
		return
	}
	if again := appendEvent(nil, e); !bytes.Equal(again, payload) {
		t.Fatalf("accepted event %x, written again it is %x", payload, again)
	}
}

// FuzzEvent is FuzzFrame's inner part by itself.
func FuzzEvent(f *testing.F) {
	f.Add(appendEvent(nil, &Event{Kind: EventEndOfInput}), false)
	f.Add(appendEvent(nil, &Event{Kind: EventBarrier, ID: 1, Timestamp: 2, Data: []byte("options")}), true)
	f.Add([]byte{}, false)
	f.Add(make([]byte, eventHeaderSize), true)
	f.Fuzz(func(t *testing.T, payload []byte, priority bool) { checkEvent(t, payload, priority) })
}

// stubStream is a peer that says what the fuzzer says, whatever it is told.
type stubStream struct{ io.Reader }

func (stubStream) Write(p []byte) (int, error) { return len(p), nil }

// FuzzHandshake is a peer without the secret, on either side: it is never
// accepted, and cannot make a worker allocate much or panic.
func FuzzHandshake(f *testing.F) {
	own := identity{worker: 3, segmentSize: 32 << 10}
	var nonce [nonceSize]byte
	hello := helloMessage(&identity{worker: 1, peer: 3, segmentSize: 32 << 10}, &nonce)
	f.Add(append(bytes.Clone(hello), appendMessage(nil, messageProof, 0, make([]byte, proofSize))...))
	f.Add(append(appendMessage(nil, messageChallenge, 0, make([]byte, challengeSize)), appendMessage(nil, messageAccept, 0, nil)...))
	f.Add(append(bytes.Clone(hello), refusalMessage(refusal{refusedSecret, 0})...))
	f.Add(refusalMessage(refusal{refusedAttempt, 8}))
	f.Add(appendMessage(nil, messageType(77), 0, make([]byte, 1000)))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
	f.Add([]byte("WEIRSHUF\x01\x00\x01\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		secret := []byte("a secret that the fuzzer has not")
		_, err := acceptHandshake(stubStream{bytes.NewReader(said)}, secret, own, func(int) *refusal { return nil })
		if err == nil {
			t.Fatalf("a dialler without the secret was accepted after %x", said)
		}
		if err := dialHandshake(stubStream{bytes.NewReader(said)}, secret, own); err == nil {
			t.Fatalf("a listener without the secret was accepted after %x", said)
		}
	})
}
