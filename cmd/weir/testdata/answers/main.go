// Answers runs one of the jobs of internal/answers, and writes its rows to files:
//
//	answers job data output
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/internal/answers"
)

func main() { weir.Main("answers", build) }

func build(env *weir.Env) {
	if len(env.Args()) != 3 {
		fmt.Fprintln(os.Stderr, "usage: answers job data output")
		os.Exit(2)
	}
	job, ok := answers.Named(env.Args()[0])
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no job %q\n", env.Args()[0])
		os.Exit(2)
	}
	job.Build(env.Args()[1], rows(env.Args()[2]))(env)
}

// rows is the sink of the rows. Each sink of the job has a folder of its own.
func rows(dir string) weir.Sink[string] { return each{dir} }

type each struct{ dir string }

func (e each) Open(ctx context.Context, s weir.Subtask) (weir.Writer[string], error) {
	// The name of the task has that of the sink.
	sum := sha256.Sum256([]byte(s.Name[:strings.LastIndex(s.Name, " (")]))
	return file.LinesSink(filepath.Join(e.dir, hex.EncodeToString(sum[:8]))).Open(ctx, s)
}
