package batchingtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
)

// Destination takes the batches of any number of sinks, keeps them, and answers
// as it is told. Make one with [New] or [By]. Its methods may be called
// concurrently.
type Destination[T any] struct {
	choose func(request int, batch []T) Answer

	mu struct {
		sync.Mutex
		requests     []Request[T]
		acknowledged []T
		inFlight     int
		most         int
		open         int // senders that were opened and not closed
		misuse       error
	}
}

// Request is a call of Send.
type Request[T any] struct {
	// Subtask is whose sink sent it.
	Subtask weir.Subtask
	// Batch has its records.
	Batch []T
	// Begun and Ended are when Send was called and when it returned; Ended is the
	// zero time while it has not.
	Begun, Ended time.Time
	// Failed and Err are what it returned. Err is [ErrNone] when it did not return
	// but panicked or ended its goroutine.
	Failed []batching.Failure
	Err    error
}

// ErrNone stands for what a request returned that never did.
var ErrNone = errors.New("Send did not return")

// New returns a destination that gives these answers to the requests in the
// order in which they come, and accepts all further ones.
func New[T any](answers ...Answer) *Destination[T] {
	return By(func(request int, _ []T) Answer {
		if request < len(answers) {
			return answers[request]
		}
		return Accept
	})
}

// By returns a destination that has choose find the answer. Requests count from 0
// in the order in which they come; choose is called by one at a time, and must
// not keep the batch.
func By[T any](choose func(request int, batch []T) Answer) *Destination[T] {
	return &Destination[T]{choose: choose}
}

// Open returns a sender to the destination. It is for [batching.New].
func (d *Destination[T]) Open(_ context.Context, subtask weir.Subtask) (batching.Sender[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.open++
	return &sender[T]{to: d, subtask: subtask}, nil
}

// Requests returns all requests so far, in the order in which they came.
func (d *Destination[T]) Requests() []Request[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mu.requests)
}

// Acknowledged returns the records that were accepted, in the order of the
// answers.
func (d *Destination[T]) Acknowledged() []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mu.acknowledged)
}

// MostInFlight returns how many requests were under way at the same time, at
// most.
func (d *Destination[T]) MostInFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.most
}

// OpenSenders returns how many senders were opened and have not been closed.
func (d *Destination[T]) OpenSenders() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.open
}

// Misuse returns what was done with a sender that must not be: nil if it was
// used as [batching.Sender] says.
func (d *Destination[T]) Misuse() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.misuse
}

// sender is the way of one subtask to the destination. It implements
// [batching.Sender].
type sender[T any] struct {
	to       *Destination[T]
	subtask  weir.Subtask
	inFlight int  // guarded by to.mu
	closed   bool // guarded by to.mu
}

// Send implements [batching.Sender].
func (s *sender[T]) Send(ctx context.Context, batch []T) (failed []batching.Failure, err error) {
	number, answer := s.begin(batch)
	err = ErrNone
	defer func() { s.end(number, failed, err) }()
	failed, err = answer(ctx, len(batch))
	return failed, err
}

func (s *sender[T]) begin(batch []T) (number int, answer Answer) {
	d := s.to
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.closed {
		s.misused("a request of %d records after the sender was closed", len(batch))
	}
	number = len(d.mu.requests)
	d.mu.requests = append(d.mu.requests, Request[T]{Subtask: s.subtask, Batch: slices.Clone(batch), Begun: time.Now()})
	d.mu.inFlight++
	d.mu.most = max(d.mu.most, d.mu.inFlight)
	s.inFlight++
	return number, d.choose(number, batch)
}

func (s *sender[T]) end(number int, failed []batching.Failure, err error) {
	d := s.to
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.inFlight--
	s.inFlight--
	r := &d.mu.requests[number]
	r.Ended, r.Failed, r.Err = time.Now(), failed, err
	if err != nil {
		return
	}
	for i, value := range r.Batch {
		if !slices.ContainsFunc(failed, func(f batching.Failure) bool { return f.Index == i }) {
			d.mu.acknowledged = append(d.mu.acknowledged, value)
		}
	}
}

// Close implements [batching.Sender].
func (s *sender[T]) Close() error {
	d := s.to
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.closed {
		s.misused("a sender was closed twice")
		return nil
	}
	if s.inFlight > 0 {
		s.misused("a sender was closed with %d requests under way", s.inFlight)
	}
	s.closed = true
	d.mu.open--
	return nil
}

// misused is called with the lock held.
func (s *sender[T]) misused(format string, args ...any) {
	s.to.mu.misuse = errors.Join(s.to.mu.misuse, fmt.Errorf("%s: "+format, append([]any{s.subtask.Name}, args...)...))
}
