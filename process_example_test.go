package weir_test

import (
	"fmt"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/stdout"
)

// away reports users that have not clicked for some time: each click moves the user's
// timer.
type away struct {
	after  time.Duration
	clicks weir.ValueState[int]
	last   weir.ValueState[int64]
	seen   weir.Counter
}

func (a *away) Open(ctx *weir.KeyedOpenContext[string]) error {
	a.clicks = ctx.ValueState[int]("clicks")
	a.last = ctx.ValueState[int64]("last")
	a.seen = ctx.Counter("clicksSeen")
	return nil
}

func (a *away) Process(ctx *weir.KeyedContext[string], _ Click, _ func(string)) error {
	a.seen.Inc()
	a.clicks.Set(a.clicks.Value() + 1)
	at, _ := ctx.EventTime()
	last, ok := a.last.Get()
	if ok && at <= last {
		return nil // out of order
	}
	if ok {
		ctx.DeleteEventTimeTimer(last + a.after.Milliseconds())
	}
	a.last.Set(at)
	ctx.RegisterEventTimeTimer(at + a.after.Milliseconds())
	return nil
}

func (a *away) OnTimer(ctx *weir.KeyedContext[string], timer weir.Timer, emit func(string)) error {
	emit(fmt.Sprintf("%s left after %d clicks, at %s", ctx.Key(), a.clicks.Value(), time.UnixMilli(timer.Time).UTC().Format(time.TimeOnly)))
	a.clicks.Clear()
	a.last.Clear()
	return nil
}

// A function with state and timers for each key. It is made anew for each subtask.
func ExampleKeyedStream_Process() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			WithWatermarks(weir.BoundedOutOfOrderness(10*time.Second), func(c Click) time.Time { return c.At }).
			KeyBy(func(c Click) string { return c.User }).
			Process(func() *away { return &away{after: 30 * time.Minute} }).
			To("stdout", stdout.Print[string]())
	})
	// Output:
	// bob left after 2 clicks, at 12:31:01
	// ann left after 4 clicks, at 12:31:15
}

// Records that a function does not want can go to a side output.
func ExampleStream_ProcessFunc() {
	short := weir.NewOutputTag[string]("short")
	run(func(env *weir.Env) {
		pages := weir.From(env, "clicks", allClicks()).
			ProcessFunc(func(ctx *weir.ProcessContext, c Click, emit func(string)) error {
				if c.Page == "/" {
					ctx.Output(short, c.User+" came home")
					return nil
				}
				emit(c.User + " went to " + c.Page)
				return nil
			})
		pages.Union(pages.SideOutput(short)).Filter(func(s string) bool { return s[:3] == "ann" }).
			To("stdout", stdout.Print[string]())
	})
	// Unordered output:
	// ann came home
	// ann went to /buy
	// ann came home
	// ann came home
}
