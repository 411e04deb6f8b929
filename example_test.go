package weir_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/generator"
	"github.com/weirstream/weir/connector/stdout"
)

// Click is what the examples count.
type Click struct {
	User string
	Page string
	At   time.Time
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clicks are not quite in order.
var clicks = []Click{
	{"ann", "/", noon.Add(1 * time.Second)},
	{"bob", "/", noon.Add(4 * time.Second)},
	{"ann", "/buy", noon.Add(3 * time.Second)},
	{"bob", "/", noon.Add(61 * time.Second)},
	{"ann", "/", noon.Add(59 * time.Second)},
	{"ann", "/", noon.Add(75 * time.Second)},
}

// allClicks is a source that a test, or an example, can have.
func allClicks() weir.Source[Click] {
	return generator.Of(int64(len(clicks)), func(i int64) Click { return clicks[i] })
}

// run runs a job in this process, in one subtask per operator.
func run(build func(*weir.Env)) {
	err := weir.Run(context.Background(), "example", build, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err != nil {
		fmt.Println(err)
	}
}

// Word is a word with how often it was met.
type Word struct {
	Word  string
	Count int
}

// A job that counts words, run in this process. A program's main function calls
// [weir.Main] with the same function instead, and can be given to a cluster.
func ExampleRun() {
	lines := []string{"to be or not", "to be"}
	err := weir.Run(context.Background(), "word count", func(env *weir.Env) {
		weir.From(env, "lines", generator.Of(int64(len(lines)), func(i int64) string { return lines[i] })).
			FlatMap(func(line string, emit func(Word)) {
				for word := range strings.FieldsSeq(line) {
					emit(Word{word, 1})
				}
			}).
			KeyBy(func(w Word) string { return w.Word }).
			Reduce(func(a, b Word) Word { a.Count += b.Count; return a }).ID("counts").
			To("stdout", stdout.JSON[Word]())
	}, weir.Setting("parallelism.default", "1"))
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"Word":"to","Count":1}
	// {"Word":"be","Count":1}
	// {"Word":"or","Count":1}
	// {"Word":"not","Count":1}
	// {"Word":"to","Count":2}
	// {"Word":"be","Count":2}
}

// A stream begins with a source; its records go through operators to a sink.
func ExampleFrom() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			Filter(func(c Click) bool { return c.Page == "/buy" }).
			Map(func(c Click) string { return c.User + " bought" }).
			To("stdout", stdout.JSON[string]())
	})
	// Output:
	// "ann bought"
}

// All records of a key reach the same subtask, which keeps a value for each.
func ExampleStream_KeyBy() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			KeyBy(func(c Click) string { return c.User }).
			Reduce(func(first, _ Click) Click { return first }).ID("first click").
			Map(func(c Click) string { return c.User + " came at " + c.At.Format(time.TimeOnly) }).
			To("stdout", stdout.JSON[string]())
	})
	// Output:
	// "ann came at 12:00:01"
	// "bob came at 12:00:04"
	// "ann came at 12:00:01"
	// "bob came at 12:00:04"
	// "ann came at 12:00:01"
	// "ann came at 12:00:01"
}

// A struct of integers, strings and the like is a key, too.
func ExampleStream_KeyBy_struct() {
	type visit struct{ User, Page string }
	type visits struct {
		visit
		Count int
	}
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			Map(func(c Click) visits { return visits{visit{c.User, c.Page}, 1} }).
			KeyBy(func(v visits) visit { return v.visit }).
			Reduce(func(a, b visits) visits { a.Count += b.Count; return a }).ID("visits").
			Filter(func(v visits) bool { return v.Count == 2 }).
			To("stdout", stdout.JSON[visits]())
	})
	// Output:
	// {"User":"bob","Page":"/","Count":2}
	// {"User":"ann","Page":"/","Count":2}
}

// ClicksOfUser is how many clicks a user made in a window.
type ClicksOfUser struct {
	User   string
	From   time.Time
	Clicks int
}

// countClicks is an aggregator: it counts with one int per user and window.
type countClicks struct{}

func (countClicks) Add(n *int, _ Click) { *n++ }

// Merge lets the engine count before it sends records to other subtasks.
func (countClicks) Merge(n, other *int) { *n += *other }

func (countClicks) Result(user string, w weir.Window, n *int) ClicksOfUser {
	return ClicksOfUser{user, w.StartTime(), *n}
}

// An aggregator combines the records of each key in each window. The click at
// 12:00:59 comes after one at 12:01:01 and is counted in the first minute, since
// the watermark expects records up to five seconds behind.
func ExampleWindowedStream_Aggregate() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			WithWatermarks(weir.BoundedOutOfOrderness(5*time.Second), func(c Click) time.Time { return c.At }).
			KeyBy(func(c Click) string { return c.User }).
			Window(weir.Tumbling(time.Minute)).
			Aggregate(countClicks{}).ID("clicks per minute").
			To("stdout", stdout.JSON[ClicksOfUser]())
	})
	// Unordered output:
	// {"User":"ann","From":"2026-03-01T12:00:00Z","Clicks":3}
	// {"User":"bob","From":"2026-03-01T12:00:00Z","Clicks":1}
	// {"User":"ann","From":"2026-03-01T12:01:00Z","Clicks":1}
	// {"User":"bob","From":"2026-03-01T12:01:00Z","Clicks":1}
}

// Reduce keeps a record per key and window where the result has the type of the
// records.
func ExampleWindowedStream_Reduce() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			WithWatermarks(weir.BoundedOutOfOrderness(5*time.Second), func(c Click) time.Time { return c.At }).
			KeyBy(func(Click) bool { return true }).
			Window(weir.Tumbling(time.Minute)).
			Reduce(func(a, b Click) Click {
				if b.At.After(a.At) {
					return b
				}
				return a
			}).ID("last of the minute").
			Map(func(c Click) string { return c.User + " at " + c.At.Format(time.TimeOnly) }).
			To("stdout", stdout.JSON[string]())
	})
	// Output:
	// "ann at 12:00:59"
	// "ann at 12:01:15"
}

// An aggregate without a window emits the result so far after every record.
func ExampleKeyedStream_Aggregate() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			KeyBy(func(c Click) string { return c.User }).
			Aggregate(countClicks{}).ID("clicks so far").
			Map(func(c ClicksOfUser) string { return fmt.Sprint(c.User, " ", c.Clicks) }).
			To("stdout", stdout.JSON[string]())
	})
	// Output:
	// "ann 1"
	// "bob 1"
	// "ann 2"
	// "bob 2"
	// "ann 3"
	// "ann 4"
}

// Windows are aligned to midnight UTC; an offset shifts them, here to where a
// day begins in a zone two hours ahead.
func ExampleTumbling() {
	run(func(env *weir.Env) {
		weir.From(env, "clicks", allClicks()).
			WithWatermarks(weir.BoundedOutOfOrderness(time.Minute), func(c Click) time.Time { return c.At }).
			KeyBy(func(Click) string { return "everybody" }).
			Window(weir.Tumbling(24*time.Hour).Offset(-2*time.Hour)).
			Aggregate(countClicks{}).ID("clicks per day").
			To("stdout", stdout.JSON[ClicksOfUser]())
	})
	// Output:
	// {"User":"everybody","From":"2026-02-28T22:00:00Z","Clicks":6}
}

// A record that is further behind than the bound comes when its window has
// fired, and is dropped: here the click at 12:00:59, with a bound of one second
// and one batch to each record.
func ExampleBoundedOutOfOrderness() {
	run(func(env *weir.Env) {
		env.BufferTimeout(0) // every record goes on by itself, and the watermark with it
		weir.From(env, "clicks", lists[Click]{splits: [][]Click{clicks}, atMost: 1}).
			WithWatermarks(weir.BoundedOutOfOrderness(time.Second), func(c Click) time.Time { return c.At }).
			KeyBy(func(Click) string { return "everybody" }).
			Window(weir.Tumbling(time.Minute)).
			Aggregate(countClicks{}).ID("clicks per minute").
			To("stdout", stdout.JSON[ClicksOfUser]())
	})
	// Output:
	// {"User":"everybody","From":"2026-03-01T12:00:00Z","Clicks":3}
	// {"User":"everybody","From":"2026-03-01T12:01:00Z","Clicks":2}
}

// A value that differs between two runs of a program, such as a random seed, is
// decided once, where the job is planned, and is the same in every worker.
func ExampleOnce() {
	run(func(env *weir.Env) {
		seed := weir.Once(env, "seed", func() (uint64, error) { return rand.Uint64(), nil })
		env.Parallelism(2)
		weir.From(env, "numbers", generator.Of(100, func(int64) uint64 { return seed })).
			KeyBy(func(seed uint64) uint64 { return seed }).
			Reduce(func(a, _ uint64) uint64 { return a }).ID("seeds").
			Map(func(n uint64) bool { return n == seed }).
			KeyBy(func(same bool) bool { return same }).
			Aggregate(countSame{}).ID("count").
			Filter(func(text string) bool { return text == "100 records have the seed" }).
			To("stdout", stdout.JSON[string]())
	})
	// Output:
	// "100 records have the seed"
}

type countSame struct{}

func (countSame) Add(n *int, _ bool) { *n++ }
func (countSame) Result(same bool, _ weir.Window, n *int) string {
	if !same {
		return "a record has another seed"
	}
	return fmt.Sprint(*n, " records have the seed")
}
