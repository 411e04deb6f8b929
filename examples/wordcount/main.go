// Wordcount counts words: of files, or of what arrives on a socket.
//
//	go run ./examples/wordcount [-socket host:port] [-window duration] [files]
//
// Of files it prints how often each word is in them, when all are read; without
// an argument, from the project's root, of the text beside this program. Of a
// socket it prints every five seconds how often each word came in these; start
// one with "nc -lk 9999", and type.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/connector/socket"
	"github.com/weirstream/weir/connector/stdout"
)

func main() { weir.Main("word count", build) }

func build(env *weir.Env) {
	options := parse(env.Args())
	if options.socket != "" {
		lines := weir.From(env, "lines", socket.Lines(options.socket))
		words(lines).
			Window(weir.Tumbling(options.window).ProcessingTime()).
			Aggregate(counting{}).ID("counts").
			To("stdout", stdout.JSON[Count]())
		return
	}
	// Every line has the same event time, so there is one window. It ends with the
	// input.
	lines := weir.From(env, "lines", file.Lines(options.files)).
		WithWatermarks(weir.MonotonousTimestamps(), func(string) int64 { return 0 })
	words(lines).
		Window(weir.Tumbling(time.Hour)).
		Aggregate(counting{}).ID("counts").
		To("stdout", stdout.JSON[Count]())
}

// words are the words of lines, in lower case, by themselves.
func words(lines weir.Stream[string]) weir.KeyedStream[string, string] {
	return lines.
		FlatMap(func(line string, emit func(string)) {
			for _, word := range strings.FieldsFunc(line, between) {
				emit(strings.ToLower(word))
			}
		}).Name("words").
		KeyBy(func(word string) string { return word })
}

// between reports whether r is between words.
func between(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' }

// Count is how often a word came.
type Count struct {
	Word  string `json:"word"`
	Count int64  `json:"count"`
}

// counting counts the words of a window.
type counting struct{}

func (counting) Add(n *int64, _ string) { *n++ }

// Merge lets words be counted before they are sent to the subtask of the word.
func (counting) Merge(n, other *int64) { *n += *other }

func (counting) Result(word string, _ weir.Window, n *int64) Count { return Count{word, *n} }

// options are the job's arguments.
type options struct {
	files, socket string
	window        time.Duration
}

func parse(args []string) options {
	o := options{files: "examples/wordcount/alice.txt"}
	flags := flag.NewFlagSet("wordcount", flag.ExitOnError)
	flags.StringVar(&o.socket, "socket", "", "count the words of the lines that come from this `host:port`")
	flags.DurationVar(&o.window, "window", 5*time.Second, "how long the words of a socket are counted")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: wordcount [-socket host:port] [-window duration] [files]")
		flags.PrintDefaults()
	}
	_ = flags.Parse(args) // it exits on an error
	switch {
	case flags.NArg() == 1 && o.socket == "":
		o.files = flags.Arg(0)
	case flags.NArg() > 0:
		fmt.Fprintf(flags.Output(), "there is one argument, the files to read, and none with -socket: got %q\n", flags.Args())
		flags.Usage()
		os.Exit(2)
	}
	return o
}
