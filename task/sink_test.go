package task

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// plainWriter notes how it is called, and does at Flush what on says.
type plainWriter struct {
	calls []string
	on    func() error
}

func (w *plainWriter) Write([]int) error { w.calls = append(w.calls, "write"); return nil }
func (w *plainWriter) Close() error      { w.calls = append(w.calls, "close"); return nil }
func (w *plainWriter) Flush() error {
	w.calls = append(w.calls, "flush")
	if w.on == nil {
		return nil
	}
	return w.on()
}

// finishingWriter wants to know of the end, too.
type finishingWriter struct {
	plainWriter
	fail error
}

func (w *finishingWriter) Finish() error { w.calls = append(w.calls, "finish"); return w.fail }

// opened is a sink with one writer.
type opened struct{ w Writer[int] }

func (o opened) Open(context.Context, int, int, string) (Writer[int], error) { return o.w, nil }

// TestSinkEnds: at the end of the input a writer is flushed and then finished, if
// it wants that, but not when it failed or the task was canceled meanwhile.
func TestSinkEnds(t *testing.T) {
	errFull := errors.New("full")
	end := func(w Writer[int], cancelIn *plainWriter) error {
		c := testContext(t)
		ctx, cancel := context.WithCancel(c.Done)
		defer cancel()
		c.Done = ctx
		if cancelIn != nil {
			cancelIn.on = func() error { cancel(); return nil }
		}
		inputs, err := SinkCode[int]{opened{w}}.Build(c, Outputs{})
		if err != nil {
			t.Fatal(err)
		}
		return inputs[0].(Receiver[int]).End()
	}
	check := func(name string, err, want error, calls []string, wantCalls ...string) {
		t.Helper()
		if !errors.Is(err, want) || !slices.Equal(calls, wantCalls) {
			t.Errorf("%s: error %v after %v, want %v after %v", name, err, calls, want, wantCalls)
		}
	}
	plain := &plainWriter{}
	check("a plain writer", end(plain, nil), nil, plain.calls, "flush")
	w := &finishingWriter{}
	check("a finisher", end(w, nil), nil, w.calls, "flush", "finish")
	w = &finishingWriter{fail: errFull}
	check("it fails", end(w, nil), errFull, w.calls, "flush", "finish")
	w = &finishingWriter{plainWriter: plainWriter{on: func() error { return errFull }}}
	check("its flush fails", end(w, nil), errFull, w.calls, "flush")
	w = &finishingWriter{}
	check("canceled in its flush", end(w, &w.plainWriter), ErrCanceled, w.calls, "flush")
}
