package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What kind of error a call has returned, for errors.Is.
var (
	// ErrUnavailable: the JobManager cannot be reached, or the connection to it
	// broke. A job that was being watched may still be running.
	ErrUnavailable = errors.New("JobManager unavailable")
	// ErrUnauthenticated: the JobManager does not accept the credential.
	ErrUnauthenticated = errors.New("credential not accepted")
	// ErrInvalid: the job or an argument is wrong.
	ErrInvalid = errors.New("invalid argument")
	// ErrNotFound: the JobManager does not know the job.
	ErrNotFound = errors.New("not found")
	// ErrState: the job is not in a state that allows this.
	ErrState = errors.New("not possible in this state")
)

// callError is what a call ended with, in words for the user. A gRPC status
// prints as "rpc error: code = …", which is not.
type callError struct {
	message string
	kind    error
	// status is what the call returned, or why its context ended.
	status error
}

func (e *callError) Error() string { return e.message }

func (e *callError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.status}
	}
	return []error{e.kind, e.status}
}

// failed turns the error of a call into the one to return.
func (c *Client) failed(ctx context.Context, err error) error {
	s := status.Convert(err)
	e := &callError{message: s.Message(), status: err}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		if _, due := ctx.Deadline(); due && s.Code() == codes.DeadlineExceeded {
			<-ctx.Done() // The server's clock was a moment ahead of this one.
		}
		if ctx.Err() != nil {
			e.kind, e.status = ctx.Err(), context.Cause(ctx)
			e.message = fmt.Sprintf("no answer from the JobManager at %s: %v", c.address, e.status)
		}
	case codes.Unavailable:
		e.kind = ErrUnavailable
		e.message = fmt.Sprintf("cannot reach the JobManager at %s: %s", c.address, transportReason(s.Message()))
	case codes.Unauthenticated:
		e.kind = ErrUnauthenticated
		e.message = fmt.Sprintf("the JobManager at %s refused the call: %s", c.address, s.Message())
	case codes.InvalidArgument:
		e.kind = ErrInvalid
	case codes.NotFound:
		e.kind = ErrNotFound
	case codes.FailedPrecondition:
		e.kind = ErrState
	case codes.Unimplemented:
		e.message = fmt.Sprintf("the JobManager at %s does not know this call (%s): is it an older version, or no JobManager?",
			c.address, s.Message())
	default:
		e.message = fmt.Sprintf("the JobManager at %s: %s (%s)", c.address, s.Message(), s.Code())
	}
	return e
}

// transportReason takes what the operating system or TLS said out of the
// layers that gRPC wraps it in:
//
//	connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"
//
// A server that does not like the other's TLS closes the connection, and what
// the client notices first of that is a matter of chance.
func transportReason(message string) string {
	_, inner, found := strings.Cut(message, `desc = "`)
	if !found {
		// A connection that was closed as soon as it was made may show only when
		// it is written to.
		if strings.HasPrefix(message, "write ") {
			return message + oneSidedTLS
		}
		return message
	}
	inner = strings.TrimSuffix(inner, `"`)
	inner = strings.TrimPrefix(inner, "transport: ")
	dialling, unconnected := strings.CutPrefix(inner, "Error while dialing: ")
	switch {
	case unconnected:
		return dialling
	case strings.Contains(inner, "x509: "): // It says everything.
		return inner
	}
	return inner + oneSidedTLS
}

const oneSidedTLS = "; perhaps only one side uses TLS (security.ssl.internal.enabled), or the JobManager does not accept " +
	"this certificate: its log says which"

// ended reports whether err is how a stream says that all is well.
func ended(err error) bool { return errors.Is(err, io.EOF) }
