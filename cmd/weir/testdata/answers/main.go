// Answers runs one of the jobs of internal/answers, and prints its rows:
//
//	answers job data
package main

import (
	"fmt"
	"os"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/stdout"
	"github.com/weirstream/weir/internal/answers"
)

func main() { weir.Main("answers", build) }

func build(env *weir.Env) {
	if len(env.Args()) != 2 {
		fmt.Fprintln(os.Stderr, "usage: answers job data")
		os.Exit(2)
	}
	job, ok := answers.Named(env.Args()[0])
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no job %q\n", env.Args()[0])
		os.Exit(2)
	}
	job.Build(env.Args()[1], stdout.JSON[string]())(env)
}
