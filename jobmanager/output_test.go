package jobmanager

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/ids"
)

// TestOutputAgainstModel prints at random and has readers at random positions:
// what each of them reads is, byte for byte, what was printed, less what it is
// told to have missed.
func TestOutputAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	var o output
	var all []byte
	type reader struct {
		position uint64
		got      []byte
	}
	readers := make([]reader, 5)
	for range 300 {
		n := rng.IntN(3)
		if rng.IntN(40) == 0 {
			n = rng.IntN(2 * outputLimit)
		} else if rng.IntN(4) == 0 {
			n = rng.IntN(40 << 10)
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(len(all) + i)
		}
		all = append(all, data...)
		o.append(ids.TaskManagerID(fmt.Sprint(rng.IntN(2))), rng.IntN(2) == 0, data)
		if size := o.size(); size > outputLimit+outputChunk {
			t.Fatalf("seed %d: %d bytes are kept", seed, size)
		}
		r := &readers[rng.IntN(len(readers))]
		for {
			chunk, dropped, next, ok := o.read(r.position)
			r.got = append(r.got, all[r.position:r.position+dropped]...)
			r.position += dropped
			if !ok {
				break
			}
			if next != r.position+uint64(len(chunk.data)) || len(chunk.data) == 0 {
				t.Fatalf("seed %d: %d bytes at %d, and on at %d", seed, len(chunk.data), r.position, next)
			}
			r.got = append(r.got, chunk.data...)
			r.position = next
			if rng.IntN(3) == 0 {
				break
			}
		}
	}
	for i, r := range readers {
		if !bytes.Equal(r.got, all[:r.position]) {
			t.Errorf("seed %d: reader %d has read something else", seed, i)
		}
	}
	if kept := o.size(); kept < outputLimit {
		t.Errorf("only %d bytes are kept", kept)
	}
}

// TestChunksStayAsTheyWere reads a chunk and lets the job print on.
func TestChunksStayAsTheyWere(t *testing.T) {
	var o output
	o.append("tm", false, []byte("first "))
	chunk, _, _, _ := o.read(0)
	o.append("tm", false, []byte("second"))
	if string(chunk.data) != "first " {
		t.Errorf("the chunk became %q", chunk.data)
	}
	if again, _, _, _ := o.read(0); string(again.data) != "first second" {
		t.Errorf("joined to %q", again.data)
	}
}

func TestStreamsAndWorkersAreNotJoined(t *testing.T) {
	var o output
	o.append("tm-1", false, []byte("a"))
	o.append("tm-1", true, []byte("b"))
	o.append("tm-2", true, []byte("c"))
	var got []string
	for at := uint64(0); ; {
		chunk, _, next, ok := o.read(at)
		if !ok {
			break
		}
		at = next
		got = append(got, fmt.Sprintf("%s %t %s", chunk.taskManager, chunk.standardError, chunk.data))
	}
	if s := strings.Join(got, ", "); s != "tm-1 false a, tm-1 true b, tm-2 true c" {
		t.Errorf("read %s", s)
	}
}

func TestClearedOutputWasDropped(t *testing.T) {
	var o output
	o.append("tm-1", false, []byte("12345"))
	o.clear()
	if _, dropped, next, ok := o.read(2); ok || dropped != 3 || next != 5 {
		t.Errorf("dropped %d, on at %d, %t", dropped, next, ok)
	}
	o.append("tm-1", false, []byte("6"))
	if chunk, dropped, _, ok := o.read(0); !ok || dropped != 5 || string(chunk.data) != "6" {
		t.Errorf("read %q after %d bytes", chunk.data, dropped)
	}
}
