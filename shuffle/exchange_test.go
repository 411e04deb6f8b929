package shuffle_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/shuffle"
)

const segmentSize = 4096

func config(worker int) shuffle.EndpointConfig {
	return shuffle.EndpointConfig{
		Job:         ids.JobID{1, 2, 3},
		Attempt:     7,
		Worker:      worker,
		Secret:      []byte("sixteen bytes or more of secret"),
		Executable:  sha256.Sum256([]byte("the job")),
		Listen:      "127.0.0.1:0",
		SegmentSize: segmentSize,
	}
}

func TestSmoke(t *testing.T) {
	a, err := shuffle.Listen(config(0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := shuffle.Listen(config(1))
	if err != nil {
		t.Fatal(err)
	}
	arena, err := shuffle.NewArena(64, segmentSize)
	if err != nil {
		t.Fatal(err)
	}
	out, err := arena.NewPool("out", 8)
	if err != nil {
		t.Fatal(err)
	}
	in, err := arena.NewPool("in", 8)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.NewPartition(shuffle.PartitionConfig{Edge: 1, From: 0, Pool: out, Channels: []shuffle.Target{{Subtask: 0, Worker: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	inbox := shuffle.NewInbox()
	g, err := b.NewGate(shuffle.GateConfig{Edge: 1, To: 0, Channels: []shuffle.Source{{Subtask: 0, Worker: 0}}, Exclusive: 2, Pool: in, Inbox: inbox})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Connect([]shuffle.Peer{{Worker: 1, Address: b.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Connect([]shuffle.Peer{{Worker: 0, Address: a.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	grp := newGroup(t)
	grp(func() {
		n := 0
		for {
			d, ok := inbox.Poll()
			if !ok {
				<-inbox.Ready()
				continue
			}
			if d.Event != nil {
				if d.Event.Kind != shuffle.EventEndOfInput {
					t.Error(d.Event.Err)
				}
				done <- n
				return
			}
			if got := binary.LittleEndian.Uint64(d.Buffer.Bytes()); got != uint64(n) {
				t.Errorf("buffer %d holds %d", n, got)
			}
			n++
			d.Buffer.Recycle()
		}
	})
	for i := range 10000 {
		buf, err := p.Request(nil)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint64(buf.Payload(), uint64(i))
		buf.SetLen(8)
		p.Send(0, buf)
	}
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	if err := p.Drain(nil); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 10000 {
		t.Fatal(n)
	}
	p.Close()
	g.Close()
	t.Log(a.Stats(), b.Stats())
	grp2 := newGroup(t)
	grp2(func() { b.Close() })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	in.Close()
	_ = b.Close()
	if err := arena.Close(); err != nil {
		t.Fatal(err)
	}
}
