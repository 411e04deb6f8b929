package batchingtest

import (
	"context"
	"runtime"
	"time"

	"github.com/weirstream/weir/connector/batching"
)

// Answer is what a request of so many records comes to. It returns what
// [batching.Sender.Send] is to return.
type Answer func(ctx context.Context, records int) ([]batching.Failure, error)

// Accept is an [Answer]: all records are accepted.
func Accept(context.Context, int) ([]batching.Failure, error) { return nil, nil }

// Hang is an [Answer] that does not come: it returns the context's error when
// that is done.
func Hang(ctx context.Context, _ int) ([]batching.Failure, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// Goexit is an [Answer]: the sender ends its goroutine, as a test's Fatal does.
func Goexit(context.Context, int) ([]batching.Failure, error) {
	runtime.Goexit()
	return nil, nil
}

// Fail returns an answer that fails the request as a whole.
func Fail(err error) Answer {
	return func(context.Context, int) ([]batching.Failure, error) { return nil, err }
}

// Refuse returns an answer that refuses the records with these indexes, in this
// order, also if a request has no such record. The others are accepted.
func Refuse(err error, indexes ...int) Answer {
	return func(context.Context, int) ([]batching.Failure, error) {
		failed := make([]batching.Failure, len(indexes))
		for i, index := range indexes {
			failed[i] = batching.Failure{Index: index, Err: err}
		}
		return failed, nil
	}
}

// Panic returns an answer that panics.
func Panic(value any) Answer {
	return func(context.Context, int) ([]batching.Failure, error) { panic(value) }
}

// After returns an answer that is given when d has passed, or the context's
// error when that is done earlier.
func After(d time.Duration, then Answer) Answer {
	return func(ctx context.Context, records int) ([]batching.Failure, error) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return then(ctx, records)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Deaf returns an answer that is given when d has passed, whatever becomes of
// the context: after the timeout, and while the sink is being closed.
func Deaf(d time.Duration, then Answer) Answer {
	return func(ctx context.Context, records int) ([]batching.Failure, error) {
		<-time.After(d)
		return then(ctx, records)
	}
}
