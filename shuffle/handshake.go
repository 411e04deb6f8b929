package shuffle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/weirstream/weir/internal/ids"
)

// A connection opens with four messages. The dialler says who it is and whom
// it wants, with a nonce; the listener answers with a nonce of its own and the
// proof that it has the secret; the dialler proves the same; the listener
// accepts. A proof is the HMAC-SHA256, under the job's secret, of which side
// proves it, the whole hello and the listener's nonce. So neither an observer
// nor somebody who answers with what he was sent learns or proves anything.
//
//	dialler                          listener
//	hello{identity, nonce}    →
//	                          ←      challenge{nonce, proof}  or refusal
//	proof                     →                               or refusal
//	                          ←      accept                   or refusal
//
// A message is a prefix of 16 bytes and a body of a length that its type
// fixes, little endian. The prefix and the refusal never change, so that
// versions can tell each other apart:
//
//	0  magic "WEIRSHUF"
//	8  u16 version
//	10 u8  type
//	11 u8  code of a refusal, else 0
//	12 u32 length of the body
const (
	handshakeMagic   = "WEIRSHUF"
	handshakeVersion = 1
	handshakePrefix  = 16
	nonceSize        = 32
)

type messageType uint8

const (
	messageHello     messageType = 1
	messageChallenge messageType = 2
	messageProof     messageType = 3
	messageAccept    messageType = 4
	messageRefusal   messageType = 5
)

const (
	helloSize     = 16 + 4 + 4 + 4 + 4 + 32 + nonceSize
	challengeSize = nonceSize + sha256.Size
	proofSize     = sha256.Size
	refusalSize   = 8
)

// size is the length of the body of a message, and whether the type is known.
func (t messageType) size() (int, bool) {
	switch t {
	case messageHello:
		return helloSize, true
	case messageChallenge:
		return challengeSize, true
	case messageProof:
		return proofSize, true
	case messageAccept:
		return 0, true
	case messageRefusal:
		return refusalSize, true
	}
	return 0, false
}

type refusalCode uint8

const (
	refusedVersion     refusalCode = 1 // detail: the version of who refuses
	refusedJob         refusalCode = 2
	refusedAttempt     refusalCode = 3 // detail: the attempt of who refuses
	refusedWorker      refusalCode = 4 // detail: the worker index of who refuses
	refusedSegmentSize refusalCode = 5 // detail: the segment size of who refuses
	refusedExecutable  refusalCode = 6
	refusedSecret      refusalCode = 7
	refusedDuplicate   refusalCode = 8
	refusedClosing     refusalCode = 9
	refusedLost        refusalCode = 10
)

// refusal is why one side does not want the other.
type refusal struct {
	code   refusalCode
	detail uint64
}

// identity is what a dialler says of itself and of whom it wants.
type identity struct {
	job         ids.JobID
	attempt     ids.Attempt
	worker      uint32 // the dialler
	peer        uint32 // the listener
	segmentSize uint32
	executable  [32]byte
}

// errNotWeir is what garbage on the listener ends in; nothing is answered.
var errNotWeir = errors.New("the peer does not speak the shuffle's protocol")

// appendMessage appends a message with the given body.
func appendMessage(dst []byte, t messageType, code refusalCode, body []byte) []byte {
	dst = append(dst, handshakeMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, handshakeVersion)
	dst = append(dst, byte(t), byte(code))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

func helloMessage(id *identity, nonce *[nonceSize]byte) []byte {
	body := make([]byte, 0, helloSize)
	body = append(body, id.job[:]...)
	body = binary.LittleEndian.AppendUint32(body, uint32(id.attempt))
	body = binary.LittleEndian.AppendUint32(body, id.worker)
	body = binary.LittleEndian.AppendUint32(body, id.peer)
	body = binary.LittleEndian.AppendUint32(body, id.segmentSize)
	body = append(body, id.executable[:]...)
	body = append(body, nonce[:]...)
	return appendMessage(nil, messageHello, 0, body)
}

// decodeHello reads the body of a hello, of which the length is right.
func decodeHello(body []byte) identity {
	return identity{
		job:         ids.JobID(body[0:16]),
		attempt:     ids.Attempt(binary.LittleEndian.Uint32(body[16:])),
		worker:      binary.LittleEndian.Uint32(body[20:]),
		peer:        binary.LittleEndian.Uint32(body[24:]),
		segmentSize: binary.LittleEndian.Uint32(body[28:]),
		executable:  [32]byte(body[32:64]),
	}
}

func refusalMessage(r refusal) []byte {
	return appendMessage(nil, messageRefusal, r.code, binary.LittleEndian.AppendUint64(nil, r.detail))
}

// readMessage reads one message of the wanted type; raw is prefix and body. A
// refusal is returned as such, whatever its version.
func readMessage(r io.Reader, want messageType) (raw []byte, refused *refusal, err error) {
	var prefix [handshakePrefix]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, nil, err
	}
	if string(prefix[:8]) != handshakeMagic {
		return nil, nil, errNotWeir
	}
	version := binary.LittleEndian.Uint16(prefix[8:])
	t := messageType(prefix[10])
	length := binary.LittleEndian.Uint32(prefix[12:])
	if version != handshakeVersion && t != messageRefusal {
		return nil, nil, &versionError{version}
	}
	size, known := t.size()
	if !known || t != want && t != messageRefusal {
		return nil, nil, fmt.Errorf("handshake message of type %d instead of %d", t, want)
	}
	if uint64(length) != uint64(size) {
		return nil, nil, fmt.Errorf("handshake message of type %d with a body of %d bytes: want %d", t, length, size)
	}
	raw = make([]byte, handshakePrefix+size)
	copy(raw, prefix[:])
	if _, err := io.ReadFull(r, raw[handshakePrefix:]); err != nil {
		return nil, nil, err
	}
	if t == messageRefusal {
		return nil, &refusal{refusalCode(prefix[11]), binary.LittleEndian.Uint64(raw[handshakePrefix:])}, nil
	}
	return raw, nil, nil
}

// versionError is a message of another version of the handshake.
type versionError struct{ version uint16 }

func (e *versionError) Error() string {
	return fmt.Sprintf("the peer speaks version %d of the shuffle's protocol, this worker version %d", e.version, handshakeVersion)
}

// proof is what the given side proves with.
func proof(secret []byte, side string, hello []byte, nonce []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(side))
	mac.Write(hello)
	mac.Write(nonce)
	return mac.Sum(nil)
}

const (
	sideListener = "weir shuffle listener\x00"
	sideDialler  = "weir shuffle dialler\x00"
)

// dialHandshake is the dialler's side. The stream has a deadline.
func dialHandshake(s io.ReadWriter, secret []byte, own identity) error {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never fails: it ends the process instead.
	hello := helloMessage(&own, &nonce)
	if _, err := s.Write(hello); err != nil {
		return fmt.Errorf("handshake: send hello: %w", err)
	}
	raw, refused, err := readMessage(s, messageChallenge)
	if err != nil {
		return fmt.Errorf("handshake: read challenge: %w", err)
	}
	if refused != nil {
		return &refusedError{*refused, own}
	}
	challenge := raw[handshakePrefix:]
	if !hmac.Equal(challenge[nonceSize:], proof(secret, sideListener, hello, challenge[:nonceSize])) {
		_, _ = s.Write(refusalMessage(refusal{code: refusedSecret})) // the error below counts
		return errors.New("handshake: the peer does not have this job's secret")
	}
	answer := appendMessage(nil, messageProof, 0, proof(secret, sideDialler, hello, challenge[:nonceSize]))
	if _, err := s.Write(answer); err != nil {
		return fmt.Errorf("handshake: send proof: %w", err)
	}
	_, refused, err = readMessage(s, messageAccept)
	if err != nil {
		return fmt.Errorf("handshake: wait to be accepted: %w", err)
	}
	if refused != nil {
		return &refusedError{*refused, own}
	}
	return nil
}

// acceptHandshake is the listener's side. Once the dialler has proved who it
// is, admit decides whether it may come in. The worker that it returns with an
// error is only what the dialler said it is, -1 if it did not. The stream has
// a deadline.
func acceptHandshake(s io.ReadWriter, secret []byte, own identity, admit func(worker int) *refusal) (worker int, err error) {
	hello, refused, err := readMessage(s, messageHello)
	if err != nil {
		var other *versionError
		if errors.As(err, &other) {
			_, _ = s.Write(refusalMessage(refusal{refusedVersion, handshakeVersion})) // err counts
		}
		return -1, fmt.Errorf("handshake: read hello: %w", err)
	}
	if refused != nil {
		return -1, errors.New("handshake: a refusal instead of a hello")
	}
	peer := decodeHello(hello[handshakePrefix:])
	if r, why := own.judge(&peer); r != nil {
		_, _ = s.Write(refusalMessage(*r)) // why counts
		return int(peer.worker), fmt.Errorf("handshake: refused worker %d: %s", peer.worker, why)
	}
	body := make([]byte, nonceSize, challengeSize)
	_, _ = rand.Read(body) // crypto/rand.Read never fails: it ends the process instead.
	nonce := body[:nonceSize:nonceSize]
	body = append(body, proof(secret, sideListener, hello, nonce)...)
	if _, err := s.Write(appendMessage(nil, messageChallenge, 0, body)); err != nil {
		return int(peer.worker), fmt.Errorf("handshake: send challenge to worker %d: %w", peer.worker, err)
	}
	raw, refused, err := readMessage(s, messageProof)
	if err != nil {
		return int(peer.worker), fmt.Errorf("handshake: read proof of worker %d: %w", peer.worker, err)
	}
	if refused != nil {
		return int(peer.worker), fmt.Errorf("handshake: worker %d refused this one: %s", peer.worker, refused.code)
	}
	if !hmac.Equal(raw[handshakePrefix:], proof(secret, sideDialler, hello, nonce)) {
		_, _ = s.Write(refusalMessage(refusal{code: refusedSecret})) // the error below counts
		return int(peer.worker), fmt.Errorf("handshake: refused worker %d: it does not have this job's secret", peer.worker)
	}
	if r := admit(int(peer.worker)); r != nil {
		_, _ = s.Write(refusalMessage(*r)) // the error below counts
		return int(peer.worker), fmt.Errorf("handshake: refused worker %d: %s", peer.worker, r.code)
	}
	if _, err := s.Write(appendMessage(nil, messageAccept, 0, nil)); err != nil {
		return int(peer.worker), fmt.Errorf("handshake: accept worker %d: %w", peer.worker, err)
	}
	return int(peer.worker), nil
}

// judge compares what a dialler says with what this worker, the listener, is.
func (own *identity) judge(peer *identity) (*refusal, string) {
	switch {
	case peer.job != own.job:
		return &refusal{code: refusedJob}, fmt.Sprintf("it belongs to job %v, this worker to %v", peer.job, own.job)
	case peer.attempt != own.attempt:
		return &refusal{refusedAttempt, uint64(own.attempt)}, fmt.Sprintf("it runs attempt %d of the job, this worker attempt %d", peer.attempt, own.attempt)
	case peer.peer != own.worker:
		return &refusal{refusedWorker, uint64(own.worker)}, fmt.Sprintf("it wants worker %d, this is worker %d", peer.peer, own.worker)
	case peer.worker >= own.worker:
		// The smaller index dials. A job has at most 2^31 workers.
		return &refusal{refusedWorker, uint64(own.worker)}, fmt.Sprintf("worker %d does not dial worker %d: the smaller index dials", peer.worker, own.worker)
	case peer.segmentSize != own.segmentSize:
		return &refusal{refusedSegmentSize, uint64(own.segmentSize)}, fmt.Sprintf("its network segments have %d bytes, those of this worker %d", peer.segmentSize, own.segmentSize)
	case peer.executable != own.executable:
		return &refusal{code: refusedExecutable}, fmt.Sprintf("it runs the executable %x, this worker %x", peer.executable, own.executable)
	}
	return nil, ""
}

// String says why, from the view of who refuses.
func (c refusalCode) String() string {
	switch c {
	case refusedVersion:
		return "another version of the protocol"
	case refusedJob:
		return "another job"
	case refusedAttempt:
		return "another attempt of the job"
	case refusedWorker:
		return "not the worker that was wanted"
	case refusedSegmentSize:
		return "another segment size"
	case refusedExecutable:
		return "another executable"
	case refusedSecret:
		return "without this job's secret"
	case refusedDuplicate:
		return "there is a connection between the two already"
	case refusedClosing:
		return "this worker is closing"
	case refusedLost:
		return "the connection between the two was lost or given up before"
	}
	return fmt.Sprintf("refusal %d", uint8(c))
}

// refusedError is a refusal by the listener, as its dialler reports it.
type refusedError struct {
	refusal
	own identity
}

func (e *refusedError) Error() string {
	switch e.code {
	case refusedVersion:
		return fmt.Sprintf("the peer refused: it speaks version %d of the shuffle's protocol, this worker version %d", e.detail, handshakeVersion)
	case refusedJob:
		return fmt.Sprintf("the peer refused: it does not belong to job %v", e.own.job)
	case refusedAttempt:
		return fmt.Sprintf("the peer refused: it runs attempt %d of the job, this worker attempt %d", e.detail, e.own.attempt)
	case refusedWorker:
		return fmt.Sprintf("the peer refused: it is worker %d, worker %d wanted worker %d", e.detail, e.own.worker, e.own.peer)
	case refusedSegmentSize:
		return fmt.Sprintf("the peer refused: its network segments have %d bytes, those of this worker %d", e.detail, e.own.segmentSize)
	case refusedExecutable:
		return fmt.Sprintf("the peer refused: it does not run the executable %x", e.own.executable)
	case refusedSecret:
		return "the peer refused: this worker does not have the job's secret"
	case refusedDuplicate:
		return "the peer refused: there is a connection between the two already"
	case refusedClosing:
		return "the peer refused: it is closing"
	case refusedLost:
		return "the peer refused: it has lost the connection between the two before, or given it up"
	}
	return fmt.Sprintf("the peer refused, with code %d", uint8(e.code))
}
