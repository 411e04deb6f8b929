package weir_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// The mistakes that badJob makes. Each line that makes one ends with the text
// that it is reported with; " | " stands between two of one line.

type unsendable struct {
	Name string
	Done chan bool
	hook func() //nolint:unused // It is there to be reported.
}

type badKey struct{ Weight float64 }

type column struct {
	Hook func() `csv:"hook"`
}

type choosy struct{ collect[int] }

func (*choosy) Validate() error { return errors.New("nothing is good enough") }

// secretive is an aggregate whose accumulator cannot be sent.
type (
	secretive struct{}
	secret    struct{ Seen map[string]func() }
)

func (secretive) Add(*secret, int)                            {}
func (secretive) Merge(_, _ *secret)                          {}
func (secretive) Result(string, weir.Window, *secret) (n int) { return 0 }

// unmergeable is an aggregate that sliding windows cannot use.
type unmergeable struct{}

func (unmergeable) Add(*secret, int)                            {}
func (unmergeable) Result(string, weir.Window, *secret) (n int) { return 0 }

type nested struct {
	Inner *struct{ ID int64 }
	Time  int64
}

var global int64

func badJob(env *weir.Env) {
	env.Parallelism(0)                                   // mistake: parallelism 0: it must be between 1 and 65536
	env.BufferTimeout(-2 * time.Second)                  // mistake: buffer timeout -2s: it must not be negative, or weir.FullBuffersOnly
	env.Set("pipeline.names", "short")                   // mistake: Env.Set: unknown key "pipeline.names": …
	env.Set("execution.buffer-timeout.interval", "soon") // mistake: Env.Set: key "execution.buffer-timeout.interval" has the bad value "soon": want a duration …
	env.Set("taskmanager.numberOfTaskSlots", "3")        // mistake: Env.Set: key "taskmanager.numberOfTaskSlots" is no setting of a job: set it in the configuration file
	_ = weir.Once(env, "seed", func() (int, error) { return 1, nil })
	_ = weir.Once(env, "seed", func() (int, error) { return 1, nil })                    // mistake: weir.Once has the name "seed" a second time
	_ = weir.Once(env, "fails", func() (int, error) { return 0, errors.ErrUnsupported }) // mistake: weir.Once "fails": unsupported operation
	_ = weir.Once(env, "no JSON", func() (chan int, error) { return nil, nil })          // mistake: weir.Once "no JSON": json: unsupported type: chan int

	nothing := weir.From[int](env, "nothing", nil)                                                    // mistake: source "nothing" is nil
	nothing.To("nowhere", nil)                                                                        // mistake: sink "nowhere" is nil
	nothing.To("choosy", &choosy{})                                                                   // mistake: sink "choosy": nothing is good enough
	weir.From(env, "columns", file.CSV[column]("x", file.Delimiter('"'))).To("c", &collect[column]{}) // mistake: source "columns": file.CSV[weir_test.column]("x"): column.Hook: a column cannot fill a func(): …file.Delimiter('"'): it is an ASCII character other than a quote, CR, LF and NUL | records of type weir_test.column cannot be sent to another task: no encoding: weir_test.column.Hook (func()): …

	numbers := weir.From(env, "numbers", numbersTo(10))
	numbers.Parallelism(-1)                 // mistake: parallelism -1 of "numbers": it must be between 1 and 65536
	numbers.BufferTimeout(-5)               // mistake: buffer timeout -5ns of "numbers": it must not be negative, or weir.FullBuffersOnly
	numbers.ID("").To("o", &collect[int]{}) // mistake: the id of "numbers" is empty
	numbers.Map[int](nil).                  // mistake: the function of the map is nil
						TryMap[int](nil).                                                     // mistake: the function of the map is nil
						FlatMap[int](nil).                                                    // mistake: the function of the flat map is nil
						TryFlatMap[int](nil).                                                 // mistake: the function of the flat map is nil
						Filter(nil).                                                          // mistake: the function of the filter is nil
						WithWatermarks(weir.MonotonousTimestamps(), (func(int) int64)(nil)).  // mistake: the function of the event time is nil
						WithWatermarksByField(weir.BoundedOutOfOrderness(-time.Second), nil). // mistake: the function of the event time is nil | a bound of -1s for out-of-order records: it must not be negative
						To("p", &collect[int]{})
	numbers.KeyBy[int](nil).Reduce(nil).To("q", &collect[int]{})        // mistake: the function of the key selector is nil | the function of the reduce is nil
	numbers.KeyByField[int](nil).Reduce(sumOf).To("r", &collect[int]{}) // mistake: the function of the key selector is nil
	numbers.KeyBy(func(int) badKey { return badKey{} }).                // mistake: key selector: key type weir_test.badKey: …
										Reduce(sumOf).To("s", &collect[int]{})
	numbers.KeyByField(func(*int) *int64 { return &global }). // mistake: key selector: the function must return a pointer to a field of its argument, of type int64 and inside the int itself
									Window(weir.Tumbling(500*time.Microsecond)).     // mistake: a window of size 500µs and offset 0s: both must be whole milliseconds, and the size at least one | the records of "numbers" have no event times: give the stream WithWatermarks before the window, or the window ProcessingTime
									Reduce(nil).                                     // mistake: the function of the reduce is nil
									ID("twice").To("t", &collect[int]{}).ID("twice") // mistake: sink "t" has the id "twice", which window reduce "window reduce" (…) has, too; ids must be unique in a job
	numbers.Map(func(int) nested { return nested{} }).
		WithWatermarksByField(weir.MonotonousTimestamps(), func(n *nested) *int64 { return &n.Inner.ID }). // mistake: event time: the function must return a pointer to a field of its argument, whatever is in it; given an empty weir_test.nested it panicked: …
		To("u", &collect[nested]{})
	numbers.Map(func(int) unsendable { return unsendable{} }).
		Filter(func(unsendable) bool { return true }). // mistake: records of type weir_test.unsendable cannot be sent to another task: no encoding: weir_test.unsendable.Done (chan bool): …; weir_test.unsendable.hook (func()): …
		To("v", &collect[unsendable]{})                // once for each type
	numbers.WithWatermarks(weir.MonotonousTimestamps(), func(n int) int64 { return int64(n) }).
		KeyBy(func(int) string { return "" }).
		Window(weir.Tumbling(time.Hour).Offset(time.Nanosecond)). // mistake: a window of size 1h0m0s and offset 1ns: both must be whole milliseconds, and the size at least one
		Aggregate(secretive{}).                                   // mistake: window aggregate: the accumulator cannot be sent to another task: …
		To("w", &collect[int]{})
	numbers.KeyBy(func(int) string { return "" }).
		Window(weir.Sliding(time.Second, time.Minute).ProcessingTime()). // mistake: windows of size 1s every 1m0s with offset 0s: all must be whole milliseconds, the slide at least one and no larger than the size
		Aggregate(unmergeable{}).                                        // mistake: sliding windows need an aggregator with a method Merge(acc, other *weir_test.secret): they add records up in panes, and merge those
		To("window 0", &collect[int]{})
	clocked := numbers.KeyBy(func(int) string { return "" }).Window(weir.Tumbling(time.Hour).ProcessingTime())
	clocked.AllowedLateness(-time.Second). // mistake: an allowed lateness of -1s: it must be whole milliseconds and not negative
						AllowedLateness(time.Second).                     // mistake: an allowed lateness in windows of processing time, in which nothing is late
						LateOutput(weir.NewOutputTag[int]("late")).       // mistake: a late output of windows of processing time, in which nothing is late
						LateOutput(weir.OutputTag[int]{}).                // mistake: the late output's tag has no name: make one with weir.NewOutputTag
						Process[int](nil).To("window 1", &collect[int]{}) // mistake: the function of the window is nil
	clocked.AggregateProcess[int, int, int](nil, nil). // mistake: the aggregator is nil | the function of the window is nil
								SideOutput(weir.NewOutputTag[int]("late")). // mistake: window aggregate "window aggregate" has no side outputs: process functions have, and windows for late records
								To("window 2", &collect[int]{})
	numbers.KeyBy(func(int) string { return "" }).
		Aggregate[int, int](nil). // mistake: the aggregator is nil
		To("x", &collect[int]{})
	numbers.Map(func(n int) int { return n }) // mistake: nothing consumes map "map": end the stream with To(…)
}

func sumOf(a, b int) int { return a + b }

// expectedMistakes reads what is written beside the lines above. A "…" stands for
// any text.
func expectedMistakes(t *testing.T) (patterns []*regexp.Regexp) {
	t.Helper()
	_, path, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("this test's own file is not known")
	}
	dir := filepath.Base(filepath.Dir(path))
	f, err := os.Open("mistakes_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		_, texts, ok := strings.Cut(lines.Text(), "// mistake: ")
		if !ok || strings.HasPrefix(texts, `"`) {
			continue
		}
		for text := range strings.SplitSeq(texts, " | ") {
			pattern := regexp.QuoteMeta(fmt.Sprintf("%s/mistakes_test.go:%d: %s", dir, n, text))
			patterns = append(patterns, regexp.MustCompile("(?s)^"+strings.ReplaceAll(pattern, "…", ".*")+"$"))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return patterns
}

// TestEveryMistakeIsReported: all of them, at once, each with the line that made
// it, and nothing else.
func TestEveryMistakeIsReported(t *testing.T) {
	want := expectedMistakes(t)
	got := weir.BuildGraph(badJob).Layout().Plan.Mistakes
	for _, mistake := range got {
		i := slices.IndexFunc(want, func(p *regexp.Regexp) bool { return p.MatchString(mistake) })
		if i < 0 {
			t.Errorf("not expected: %s", mistake)
			continue
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, p := range want {
		t.Errorf("not reported: %s", p)
	}

	err := weir.Run(t.Context(), "bad", badJob)
	if err == nil || !strings.HasPrefix(err.Error(), `the job "bad" is built wrongly:`+"\n  ") {
		t.Fatalf("the error of Run: %v", err)
	}
	for _, mistake := range got {
		if !strings.Contains(err.Error(), "\n  "+strings.ReplaceAll(mistake, "\n", "\n    ")) {
			t.Errorf("Run does not say: %s", mistake)
		}
	}
}

// TestJobWithoutNameOrFunction: what is wrong with the call itself is reported
// at the call.
func TestJobWithoutNameOrFunction(t *testing.T) {
	_, path, line, _ := runtime.Caller(0)
	err := weir.Run(t.Context(), "", nil)
	at := fmt.Sprintf("%s/mistakes_test.go:%d: ", filepath.Base(filepath.Dir(path)), line+1)
	for _, want := range []string{at + "the job's name is empty", at + "there is no function that builds the job", "the job has no operators"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// TestSettingsAreChecked: a key or a value that does not exist ends a job before
// it runs, wherever it was set.
func TestSettingsAreChecked(t *testing.T) {
	job := func(set func(*weir.Env)) func(*weir.Env) {
		return func(env *weir.Env) {
			set(env)
			weir.From(env, "numbers", numbersTo(1)).To("sink", &collect[int]{})
		}
	}
	nothing := func(*weir.Env) {}
	for _, c := range []struct {
		name    string
		set     func(*weir.Env)
		options []weir.RunOption
		want    []string
	}{
		{"an unknown key in code", func(e *weir.Env) { e.Set("parallelism.defualt", "2") }, nil, []string{"parallelism.defualt", "parallelism.default"}},
		{"a bad value in code", func(e *weir.Env) { e.Set("parallelism.default", "many") }, nil, []string{"parallelism.default", "many"}},
		{"an unknown key of an option", nothing, []weir.RunOption{weir.Setting("pipeline.naem", "x")}, []string{"pipeline.naem"}},
		{"parallelism 0", nothing, []weir.RunOption{weir.Setting("parallelism.default", "0")}, []string{"parallelism.default", "0"}},
		{"negative parallelism", nothing, []weir.RunOption{weir.Setting("parallelism.default", "-3")}, []string{"parallelism.default", "-3"}},
		{"an interval that is none", nothing, []weir.RunOption{weir.Setting("execution.buffer-timeout.interval", "soon")}, []string{"execution.buffer-timeout.interval", "soon"}},
	} {
		err := weir.Run(t.Context(), "settings", job(c.set), append(c.options, weir.WithoutWarnings())...)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", c.name, err, want)
			}
		}
	}
}
