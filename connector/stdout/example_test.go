package stdout_test

import (
	"context"
	"fmt"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/generator"
	"github.com/weirstream/weir/connector/stdout"
)

type word struct {
	Text  string
	Count int
}

var words = []word{{"to", 2}, {"be", 2}, {"or", 1}}

// run runs a job in this process, in one subtask per operator.
func run(build func(words weir.Stream[word])) {
	err := weir.Run(context.Background(), "words", func(env *weir.Env) {
		build(weir.From(env, "words", generator.Of(3, func(i int64) word { return words[i] })))
	}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err != nil {
		fmt.Println(err)
	}
}

// Lines of JSON, for another program.
func ExampleJSON() {
	run(func(words weir.Stream[word]) { words.To("stdout", stdout.JSON[word]()) })
	// Output:
	// {"Text":"to","Count":2}
	// {"Text":"be","Count":2}
	// {"Text":"or","Count":1}
}

// Records as Go shows them. With several subtasks there would be a prefix, such
// as "3> ".
func ExamplePrint() {
	run(func(words weir.Stream[word]) { words.To("stdout", stdout.Print[word]()) })
	// Output:
	// {to 2}
	// {be 2}
	// {or 1}
}

// Records with the name of what they are.
func ExamplePrintAs() {
	run(func(words weir.Stream[word]) { words.To("counts", stdout.PrintAs[word]("count")) })
	// Output:
	// count> {to 2}
	// count> {be 2}
	// count> {or 1}
}
