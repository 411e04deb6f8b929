package shuffle

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// minSecret is the shortest secret in bytes; it is random, so 128 bits.
const minSecret = 16

// maxWorker bounds the index of a worker, which has 32 bits on the wire.
const maxWorker = 1<<31 - 1

// EndpointConfig says what an [Endpoint] is, and whom it talks to.
type EndpointConfig struct {
	// Job and Attempt are what the endpoint's channels belong to. A peer of
	// another job or attempt is refused.
	Job     ids.JobID
	Attempt ids.Attempt
	// Worker is the index of this worker among those of the job.
	Worker int
	// Secret is the job's, at least 16 random bytes; peers prove to each other
	// that they have it, and never send it.
	Secret []byte
	// Executable is the SHA-256 of the running executable: buffers hold
	// records as the compiler laid them out, so both ends run the same one.
	Executable [32]byte
	// Network is "tcp" (also when it is empty), "tcp4", "tcp6" or "unix".
	Network string
	// Listen is the address to listen on, such as "10.0.0.7:0". Without one
	// the endpoint has no listener, and only local channels and peers with a
	// larger index, which are dialled.
	Listen string
	// TLS, when set, encrypts every connection. The certificate must serve
	// both directions; whether peers must show theirs is the configuration's.
	TLS *tls.Config
	// SegmentSize is the size of the segments of the job's arenas in bytes.
	SegmentSize int
	// ConnectTimeout bounds how long a peer may take from Connect until its
	// connection is up; 0 means 30 s.
	ConnectTimeout time.Duration
	// HandshakeTimeout bounds the handshake of a connection; 0 means 10 s.
	HandshakeTimeout time.Duration
	// OnFailure, if set, is told once for each connection that was lost while
	// channels on it had not ended, or could not be made. The error wraps a
	// [*ConnectionError]. It must not block or call the endpoint.
	OnFailure func(error)
	// Logger, if set, gets refused connections and the like.
	Logger *slog.Logger
}

// Validate checks the configuration.
func (c *EndpointConfig) Validate() error {
	if c.Worker < 0 || c.Worker > maxWorker {
		return fmt.Errorf("worker index %d: want 0 to %d", c.Worker, maxWorker)
	}
	if len(c.Secret) < minSecret {
		return fmt.Errorf("the job's secret has %d bytes: at least %d are needed", len(c.Secret), minSecret)
	}
	switch c.Network {
	case "", "tcp", "tcp4", "tcp6", "unix":
	default:
		return fmt.Errorf("network %q: want tcp, tcp4, tcp6 or unix", c.Network)
	}
	if c.ConnectTimeout < 0 || c.HandshakeTimeout < 0 {
		return errors.New("a timeout is negative")
	}
	return checkSegmentSize(c.SegmentSize)
}

func (c *EndpointConfig) setDefaults() {
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 30 * time.Second
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// maxPayload is the size of a buffer's payload.
func (c *EndpointConfig) maxPayload() int { return c.SegmentSize - HeaderSize - SlackSize }

// A Peer is another worker of the job and where it listens.
type Peer struct {
	Worker  int
	Address string
}

// A ConnectionError is the loss of the connection to a worker, or the failure
// to make it.
type ConnectionError struct {
	Worker  int
	Address string
	Err     error
}

// Error names the worker, its address and the reason.
func (e *ConnectionError) Error() string {
	if e.Address == "" {
		return fmt.Sprintf("connection to worker %d: %v", e.Worker, e.Err)
	}
	return fmt.Sprintf("connection to worker %d at %s: %v", e.Worker, e.Address, e.Err)
}

// Unwrap returns the reason.
func (e *ConnectionError) Unwrap() error { return e.Err }
