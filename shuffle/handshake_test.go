package shuffle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
)

var handshakeSecret = []byte("the job's secret, of 32 bytes...")

// sides are a dialler, worker 1, and a listener, worker 3, that go together.
type sides struct {
	dialler, listener             identity
	diallerSecret, listenerSecret []byte
	admit                         func(int) *refusal
}

func matchingSides() *sides {
	id := identity{job: ids.JobID{5}, attempt: 4, segmentSize: 32 << 10, executable: [32]byte{6}}
	s := &sides{dialler: id, listener: id, diallerSecret: handshakeSecret, listenerSecret: handshakeSecret}
	s.dialler.worker, s.dialler.peer = 1, 3
	s.listener.worker = 3
	s.admit = func(int) *refusal { return nil }
	return s
}

// shake runs the handshake over a pipe and returns both sides' errors.
func (s *sides) shake(t *testing.T) (worker int, dialler, listener error) {
	t.Helper()
	a, b := net.Pipe()
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error {
		defer a.Close()
		dialler = dialHandshake(a, s.diallerSecret, s.dialler)
		return nil
	})
	worker, listener = acceptHandshake(b, s.listenerSecret, s.listener, s.admit)
	b.Close()
	_ = group.Wait()
	return worker, dialler, listener
}

func TestHandshake(t *testing.T) {
	admitted := -1
	s := matchingSides()
	s.admit = func(worker int) *refusal { admitted = worker; return nil }
	worker, dialler, listener := s.shake(t)
	if dialler != nil || listener != nil || worker != 1 || admitted != 1 {
		t.Fatalf("dialler %v, listener %v, worker %d, admitted %d: want worker 1 accepted", dialler, listener, worker, admitted)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	tests := []struct {
		name              string
		change            func(*sides)
		dialler, listener string
	}{
		{
			"job", func(s *sides) { s.dialler.job[0] = 9 },
			"refused: it does not belong to job 09000000000000000000000000000000",
			"refused worker 1: it belongs to job 09000000000000000000000000000000, this worker to 05000000000000000000000000000000",
		},
		{
			"old attempt", func(s *sides) { s.dialler.attempt = 3 },
			"refused: it runs attempt 4 of the job, this worker attempt 3",
			"refused worker 1: it runs attempt 3 of the job, this worker attempt 4",
		},
		{
			"other worker", func(s *sides) { s.listener.worker = 2 },
			"refused: it is worker 2, worker 1 wanted worker 3",
			"refused worker 1: it wants worker 3, this is worker 2",
		},
		{
			"wrong direction", func(s *sides) { s.dialler.worker = 5 },
			"refused: it is worker 3, worker 5 wanted worker 3",
			"worker 5 does not dial worker 3: the smaller index dials",
		},
		{
			"segment size", func(s *sides) { s.dialler.segmentSize = 4096 },
			"refused: its network segments have 32768 bytes, those of this worker 4096",
			"refused worker 1: its network segments have 4096 bytes, those of this worker 32768",
		},
		{
			"executable", func(s *sides) { s.dialler.executable[31] = 1 },
			"refused: it does not run the executable 0600000000000000000000000000000000000000000000000000000000000001",
			"refused worker 1: it runs the executable 0600000000000000000000000000000000000000000000000000000000000001, this worker 06000000",
		},
		{
			"secret", func(s *sides) { s.diallerSecret = bytes.Repeat([]byte{1}, 32) },
			"the peer does not have this job's secret",
			"worker 1 refused this one: without this job's secret",
		},
		{
			"duplicate", func(s *sides) { s.admit = func(int) *refusal { return &refusal{code: refusedDuplicate} } },
			"refused: there is a connection between the two already",
			"refused worker 1: there is a connection between the two already",
		},
		{
			"closing", func(s *sides) { s.admit = func(int) *refusal { return &refusal{code: refusedClosing} } },
			"refused: it is closing",
			"refused worker 1: this worker is closing",
		},
		{
			"lost", func(s *sides) { s.admit = func(int) *refusal { return &refusal{code: refusedLost} } },
			"refused: it has lost the connection between the two before",
			"refused worker 1: the connection between the two was lost or given up before",
		},
	}
	for _, test := range tests {
		s := matchingSides()
		test.change(s)
		_, dialler, listener := s.shake(t)
		if dialler == nil || !strings.Contains(dialler.Error(), test.dialler) {
			t.Errorf("%s: the dialler's error is %v, want %q", test.name, dialler, test.dialler)
		}
		if listener == nil || !strings.Contains(listener.Error(), test.listener) {
			t.Errorf("%s: the listener's error is %v, want %q", test.name, listener, test.listener)
		}
	}
}

// script is one side of a handshake that says fixed things.
type script struct {
	*bytes.Reader
	said bytes.Buffer
}

func (s *script) Write(p []byte) (int, error) { return s.said.Write(p) }

// TestHandshakeDiallerWithoutSecret plays a dialler that ignores the
// listener's proof, and makes one up.
func TestHandshakeDiallerWithoutSecret(t *testing.T) {
	s := matchingSides()
	var nonce [nonceSize]byte
	said := helloMessage(&s.dialler, &nonce)
	said = appendMessage(said, messageProof, 0, make([]byte, proofSize))
	peer := &script{Reader: bytes.NewReader(said)}
	_, err := acceptHandshake(peer, s.listenerSecret, s.listener, func(int) *refusal {
		t.Error("asked to admit a peer that proved nothing")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "refused worker 1: it does not have this job's secret") {
		t.Errorf("the listener's error is %v", err)
	}
	_, refused, err := readMessage(bytes.NewReader(peer.said.Bytes()[handshakePrefix+challengeSize:]), messageAccept)
	if err != nil || refused == nil || refused.code != refusedSecret {
		t.Errorf("the dialler was answered %v, %v: want a refusal for the secret", refused, err)
	}
}

// TestHandshakeReflection plays a listener that has the dialler itself compute
// the proof that it owes: the sides' proofs differ, so it does not help.
func TestHandshakeReflection(t *testing.T) {
	s := matchingSides()
	a, b := net.Pipe()
	group := goroutine.New(t.Context())
	defer func() { _ = group.Wait() }()
	group.Go(func(context.Context) error {
		defer b.Close()
		hello, _, err := readMessage(b, messageHello)
		if err != nil {
			t.Error(err)
			return nil
		}
		nonce := make([]byte, nonceSize)
		forged := append(nonce, proof(handshakeSecret, sideDialler, hello, nonce)...)
		_, _ = b.Write(appendMessage(nil, messageChallenge, 0, forged))
		_, _ = io.Copy(io.Discard, b)
		return nil
	})
	err := dialHandshake(a, s.diallerSecret, s.dialler)
	a.Close()
	if err == nil || !strings.Contains(err.Error(), "does not have this job's secret") {
		t.Errorf("a proof of the wrong side was answered with %v", err)
	}
}

// TestHandshakeAltered has somebody in between change the hello: neither side
// accepts, though each has the secret.
func TestHandshakeAltered(t *testing.T) {
	s := matchingSides()
	a, near := net.Pipe()
	far, b := net.Pipe()
	group := goroutine.New(t.Context())
	var dialler error
	group.Go(func(context.Context) error {
		defer a.Close()
		dialler = dialHandshake(a, s.diallerSecret, s.dialler)
		return nil
	})
	group.Go(func(context.Context) error {
		defer far.Close()
		hello, _, err := readMessage(near, messageHello)
		if err != nil {
			t.Error(err)
			return nil
		}
		hello[handshakePrefix+20] = 2 // it is worker 2 now
		_, _ = far.Write(hello)
		_, _ = io.Copy(far, near)
		return nil
	})
	group.Go(func(context.Context) error {
		defer near.Close()
		_, _ = io.Copy(near, far)
		return nil
	})
	_, listener := acceptHandshake(b, s.listenerSecret, s.listener, func(worker int) *refusal {
		t.Errorf("asked to admit worker %d", worker)
		return nil
	})
	b.Close()
	_ = group.Wait()
	if dialler == nil || listener == nil {
		t.Errorf("dialler %v, listener %v: want both to refuse", dialler, listener)
	}
}

// recorder keeps what is written to a stream.
type recorder struct {
	io.ReadWriter
	said bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.said.Write(p)
	return r.ReadWriter.Write(p)
}

// TestHandshakeReplayed says again what a dialler said that was accepted.
func TestHandshakeReplayed(t *testing.T) {
	s := matchingSides()
	a, b := net.Pipe()
	recorded := &recorder{ReadWriter: a}
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error {
		defer a.Close()
		return dialHandshake(recorded, s.diallerSecret, s.dialler)
	})
	if _, err := acceptHandshake(b, s.listenerSecret, s.listener, s.admit); err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	_, err := acceptHandshake(&script{Reader: bytes.NewReader(recorded.said.Bytes())}, s.listenerSecret, s.listener, s.admit)
	if err == nil || !strings.Contains(err.Error(), "it does not have this job's secret") {
		t.Errorf("a replayed handshake: %v", err)
	}
}

func TestHandshakeOtherVersion(t *testing.T) {
	s := matchingSides()
	var nonce [nonceSize]byte
	hello := helloMessage(&s.dialler, &nonce)
	hello[8] = 9
	peer := &script{Reader: bytes.NewReader(hello)}
	_, err := acceptHandshake(peer, s.listenerSecret, s.listener, s.admit)
	if err == nil || !strings.Contains(err.Error(), "the peer speaks version 9 of the shuffle's protocol, this worker version 1") {
		t.Errorf("the listener's error is %v", err)
	}
	// The refusal is one that every version understands.
	answer := peer.said.Bytes()
	answer[8] = 9
	err = dialHandshake(&script{Reader: bytes.NewReader(answer)}, s.diallerSecret, s.dialler)
	if err == nil || !strings.Contains(err.Error(), "refused: it speaks version 1 of the shuffle's protocol") {
		t.Errorf("the dialler's error is %v", err)
	}
}

// TestHandshakeGarbage says nothing to those who do not speak the protocol.
func TestHandshakeGarbage(t *testing.T) {
	s := matchingSides()
	peer := &script{Reader: bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))}
	worker, err := acceptHandshake(peer, s.listenerSecret, s.listener, s.admit)
	if !errors.Is(err, errNotWeir) || worker != -1 {
		t.Errorf("worker %d, error %v: want errNotWeir", worker, err)
	}
	if peer.said.Len() != 0 {
		t.Errorf("garbage was answered with %q", peer.said.String())
	}
}

func TestHandshakeBounds(t *testing.T) {
	for name, message := range map[string][]byte{
		"unknown type":  appendMessage(nil, 99, 0, nil),
		"other type":    appendMessage(nil, messageProof, 0, make([]byte, proofSize)),
		"too long":      appendMessage(nil, messageHello, 0, make([]byte, helloSize+1)),
		"too short":     appendMessage(nil, messageHello, 0, make([]byte, helloSize-1)),
		"huge":          []byte("WEIRSHUF\x01\x00\x01\x00\xff\xff\xff\xff"),
		"long refusal":  appendMessage(nil, messageRefusal, 1, make([]byte, refusalSize+1)),
		"cut in prefix": []byte("WEIRSHUF\x01"),
		"cut in body":   appendMessage(nil, messageHello, 0, make([]byte, helloSize))[:50],
	} {
		raw, refused, err := readMessage(bytes.NewReader(message), messageHello)
		if err == nil {
			t.Errorf("%s: read %x, refusal %v", name, raw, refused)
		}
	}
}

// TestHandshakeDeadline runs the handshake against a peer that says nothing.
func TestHandshakeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Endpoint{cfg: EndpointConfig{HandshakeTimeout: 10 * time.Second}}
		for _, listen := range []bool{true, false} {
			silent, stream := net.Pipe()
			start := time.Now()
			err := e.shake(t.Context(), stream, func() error {
				if listen {
					_, err := acceptHandshake(stream, handshakeSecret, identity{}, nil)
					return err
				}
				return dialHandshake(stream, handshakeSecret, identity{})
			})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("against a silent peer: %v, want a deadline exceeded", err)
			}
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("gave up after %v, want 10s", took)
			}
			silent.Close()
			stream.Close()
		}
	})
}

// TestHandshakeEndsWithTheEndpoint closes an endpoint during a handshake.
func TestHandshakeEndsWithTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Endpoint{cfg: EndpointConfig{HandshakeTimeout: time.Hour}}
		ctx, cancel := context.WithCancel(t.Context())
		silent, stream := net.Pipe()
		defer silent.Close()
		group := goroutine.New(t.Context())
		var err error
		group.Go(func(context.Context) error {
			err = e.shake(ctx, stream, func() error {
				_, err := acceptHandshake(stream, handshakeSecret, identity{}, nil)
				return err
			})
			return nil
		})
		synctest.Wait()
		cancel()
		_ = group.Wait()
		if err == nil {
			t.Error("the handshake went on")
		}
	})
}
