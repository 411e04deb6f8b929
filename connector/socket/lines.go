package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/weirstream/weir"
)

// DefaultMaxLength is how long a line may be, in bytes, unless [MaxLength] says
// otherwise.
const DefaultMaxLength = 1 << 20

// Option changes how [Lines] reads.
type Option func(*source)

// Delimiter sets what ends a line, instead of "\n". With "\n", a "\r" before it
// is left out.
func Delimiter(end string) Option {
	return func(s *source) { s.delimiter = end }
}

// MaxLength sets how long a line may be, in bytes without its delimiter.
func MaxLength(bytes int) Option {
	return func(s *source) { s.maxLength = bytes }
}

// Retry makes the source connect again when the peer has closed the connection,
// and when there is no peer, also at the beginning: up to attempts times in a
// row, or without end if attempts is negative, with a pause before each. A line
// that arrives begins the row anew. When it is over, the source ends if the last
// connection was closed by the peer, and fails if there was none.
func Retry(attempts int, pause time.Duration) Option {
	return func(s *source) { s.retries, s.pause = attempts, pause }
}

// Lines returns a source of the lines that a TCP peer sends; address is
// "host:port". The source may be used concurrently.
func Lines(address string, options ...Option) weir.Source[string] {
	s := source{address: address, delimiter: "\n", maxLength: DefaultMaxLength}
	for _, option := range options {
		option(&s)
	}
	return s
}

// source implements [weir.Source] and [weir.Validator].
type source struct {
	address   string
	delimiter string
	maxLength int
	retries   int
	pause     time.Duration
}

// Validate implements [weir.Validator].
func (s source) Validate() error {
	var errs []error
	if host, port, err := net.SplitHostPort(s.address); err != nil {
		errs = append(errs, fmt.Errorf(`the address is "host:port": %w`, err))
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		errs = append(errs, errors.New(`the address is "host:port", with a port between 1 and 65535`))
	}
	if s.delimiter == "" {
		errs = append(errs, errors.New("the delimiter is empty"))
	}
	if s.maxLength < 1 {
		errs = append(errs, fmt.Errorf("the longest line is %d bytes; it is at least 1", s.maxLength))
	}
	if s.pause < 0 {
		errs = append(errs, fmt.Errorf("the pause before a further connection is %v; it is not negative", s.pause))
	}
	if len(errs) > 0 {
		return fmt.Errorf("lines from the socket %q: %w", s.address, errors.Join(errs...))
	}
	return nil
}

// Bounded implements [weir.Source]: nobody knows when the peer will close.
func (s source) Bounded() bool { return false }

// Splits implements [weir.Source]: there is one connection.
func (s source) Splits(context.Context, int) ([]weir.Split, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return []weir.Split{{ID: s.address}}, nil
}

// Open implements [weir.Source]. It begins to connect, and does not wait for
// that. A position is ignored: the peer cannot go back.
func (s source) Open(ctx context.Context, _ weir.Split, _ []byte) (weir.Reader[string], error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return newReader(ctx, s, dialer.DialContext), nil
}
