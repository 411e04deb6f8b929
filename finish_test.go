package weir_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir"
)

// diary is a sink that notes how the writer of each subtask is called, and does at
// each call what on says.
type diary struct {
	on func(ctx context.Context, call string) error

	mu    sync.Mutex
	calls map[int][]string
}

func (d *diary) Open(ctx context.Context, s weir.Subtask) (weir.Writer[int], error) {
	d.note(s.Index, "open")
	return diaryWriter{ctx, d, s.Index}, nil
}

func (d *diary) note(subtask int, call string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls == nil {
		d.calls = map[int][]string{}
	}
	d.calls[subtask] = append(d.calls[subtask], call)
}

// count returns how often subtasks were called so, in all.
func (d *diary) count(call string) (n int) {
	for _, calls := range d.calls {
		for _, c := range calls {
			if c == call {
				n++
			}
		}
	}
	return n
}

type diaryWriter struct {
	ctx     context.Context
	d       *diary
	subtask int
}

func (w diaryWriter) called(call string) error {
	w.d.note(w.subtask, call)
	if w.d.on == nil {
		return nil
	}
	return w.d.on(w.ctx, call)
}

func (w diaryWriter) Write([]int) error { return w.called("write") }
func (w diaryWriter) Flush() error      { return w.called("flush") }
func (w diaryWriter) Finish() error     { return w.called("finish") }
func (w diaryWriter) Close() error      { return w.called("close") }

// keep runs a job with so many subtasks per operator in this process.
func keep(ctx context.Context, parallelism int, build func(*weir.Env)) error {
	return weir.Run(ctx, "diary", build, weir.Setting("parallelism.default", fmt.Sprint(parallelism)), weir.WithoutWarnings())
}

// TestFinish: the writer of each subtask is finished once, between the last Flush
// and Close, whether it is chained to its source or not, and also where it has
// got no record.
func TestFinish(t *testing.T) {
	for name, build := range map[string]func(*weir.Env, *diary){
		"chained": func(env *weir.Env, d *diary) { weir.From(env, "numbers", numbersTo(10)).To("sink", d) },
		"beside another sink": func(env *weir.Env, d *diary) {
			numbers := weir.From(env, "numbers", numbersTo(10))
			numbers.To("other", &diary{})
			numbers.To("sink", d)
		},
		"behind an exchange": func(env *weir.Env, d *diary) {
			weir.From(env, "numbers", numbersTo(5000)).Rebalance().To("sink", d)
		},
		"without records": func(env *weir.Env, d *diary) {
			weir.From(env, "numbers", numbersTo(10)).Filter(func(int) bool { return false }).Rebalance().To("sink", d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d diary
			if err := keep(t.Context(), 2, func(env *weir.Env) { build(env, &d) }); err != nil {
				t.Fatal(err)
			}
			for subtask := range 2 {
				calls := d.calls[subtask]
				last := calls[max(0, len(calls)-3):]
				if !slices.Equal(last, []string{"flush", "finish", "close"}) || slices.Index(calls, "finish") != len(calls)-2 {
					t.Errorf("subtask %d: %v", subtask, calls)
				}
			}
			if len(d.calls) != 2 || (d.count("write") == 0) != (name == "without records") {
				t.Errorf("%d subtasks, %d writes", len(d.calls), d.count("write"))
			}
		})
	}
}

// TestFinishNeverAfterAnError: no writer of a job is finished whose input has not
// ended when the job fails, wherever that is.
func TestFinishNeverAfterAnError(t *testing.T) {
	for name, build := range map[string]func(*weir.Env, *diary){
		"in the same task": func(env *weir.Env, d *diary) {
			numbers := weir.From(env, "numbers", counting{})
			numbers.To("sink", d)
			numbers.To("bad", badSink{faults{at: "write", how: func() error { return errBad }}})
		},
		"in a neighbour's flush": func(env *weir.Env, d *diary) {
			numbers := weir.From(env, "numbers", numbersTo(10))
			numbers.To("bad", badSink{faults{at: "flush", how: func() error { return errBad }}})
			numbers.To("sink", d)
		},
		"in another task": func(env *weir.Env, d *diary) {
			weir.From(env, "numbers", counting{faults{at: "read", how: func() error { return errBad }}}).Rebalance().To("sink", d)
		},
		"in its own last flush": func(env *weir.Env, d *diary) {
			d.on = func(_ context.Context, call string) error {
				if call == "flush" {
					return errBad
				}
				return nil
			}
			weir.From(env, "numbers", numbersTo(10)).Rebalance().To("sink", d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d diary
			err := keep(t.Context(), 2, func(env *weir.Env) { build(env, &d) })
			if err == nil || !strings.Contains(err.Error(), errBad.Error()) {
				t.Errorf("the job ended with %v", err)
			}
			if d.count("finish") != 0 || d.count("close") != d.count("open") || d.count("open") == 0 {
				t.Errorf("calls: %v", d.calls)
			}
		})
	}
}

// TestFinishNeverAfterACancel: neither of an input without end nor of one that is
// about to end.
func TestFinishNeverAfterACancel(t *testing.T) {
	for name, test := range map[string]struct {
		source      weir.Source[int]
		parallelism int
		at          string
	}{
		"without end, in a write": {counting{}, 2, "write"},
		"without end, in a flush": {counting{}, 2, "flush"},
		"at the end, in a write":  {numbersTo(10), 1, "write"},
		"at the end, in a flush":  {numbersTo(10), 1, "flush"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			d := diary{on: func(task context.Context, call string) error {
				if call == test.at {
					cancel()
					<-task.Done()
				}
				return nil
			}}
			err := keep(ctx, test.parallelism, func(env *weir.Env) { weir.From(env, "numbers", test.source).To("sink", &d) })
			if err == nil || !strings.Contains(err.Error(), "was canceled") {
				t.Errorf("the job ended with %v", err)
			}
			if d.count("finish") != 0 || d.count("close") != d.count("open") || d.count(test.at) == 0 {
				t.Errorf("calls: %v", d.calls)
			}
		})
	}
}

// TestFinishFails: an error or a panic of Finish fails the job, and the writer is
// closed nevertheless.
func TestFinishFails(t *testing.T) {
	for name, how := range map[string]func() error{
		"error": func() error { return errBad },
		"panic": func() error { panic(errBad) },
	} {
		d := diary{on: func(_ context.Context, call string) error {
			if call == "finish" {
				return how()
			}
			return nil
		}}
		err := keep(t.Context(), 1, func(env *weir.Env) { weir.From(env, "numbers", numbersTo(10)).To("sink", &d) })
		if err == nil || !strings.Contains(err.Error(), errBad.Error()) {
			t.Errorf("%s: the job ended with %v", name, err)
		}
		if d.count("finish") != 1 || d.count("close") != 1 {
			t.Errorf("%s: calls: %v", name, d.calls)
		}
	}
}
