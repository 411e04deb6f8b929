package weirtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/weirtest"
)

// pairs joins equal words to one.
func pairs(env *weir.Env) {
	weir.From(env, "words", weirtest.Values[string]()).
		KeyBy(func(word string) string { return word }).
		Reduce(func(a, b string) string { return a + "+" + b }).
		To("out", &weirtest.Collector[string]{})
}

// A test of a job's operators. The job's sources and sinks are not opened.
func ExampleStart() {
	var t testing.TB = example{}

	run := weirtest.Start(t, pairs)
	words, out := weirtest.InputOf[string](run, "words"), weirtest.OutputOf[string](run, "out")

	words.Push("a", "b", "a")
	fmt.Println(out.Take())
	run.Advance(time.Hour)
	words.Push("b")
	fmt.Println(out.Take())
	// Output:
	// [a b a+a]
	// [b+b]
}

// example stands for the test that an example has not.
type example struct{ testing.TB }

func (example) Name() string     { return "example" }
func (example) Helper()          {}
func (example) Cleanup(f func()) {}
func (example) Fatal(a ...any)   { panic(fmt.Sprint(a...)) }
