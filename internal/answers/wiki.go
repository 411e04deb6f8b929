package answers

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// edit is a line of wiki-edits-2015-09-12.jsonl.gz, whose times rise.
type edit struct {
	Time    time.Time `json:"time"`
	Channel string    `json:"channel"`
	User    string    `json:"user"`
	IsRobot bool      `json:"isRobot"`
	Delta   int64     `json:"delta"`
	Added   int64     `json:"added"`
	Deleted int64     `json:"deleted"`
}

func (e edit) channel() string { return e.Channel }
func (e edit) user() string    { return e.User }

// edits are what an answer needs of some edits of a channel or a user.
type edits struct {
	Key                                  string
	Window                               weir.Window
	Seq                                  int64 // of the last one
	Count, Added, Deleted, Delta, Robots int64
}

// countEdits adds edits up, in a window or without one.
type countEdits struct{}

func (countEdits) Add(a *edits, e numbered[edit]) {
	a.Seq = e.Seq
	a.Count++
	a.Added += e.Value.Added
	a.Deleted += e.Value.Deleted
	a.Delta += e.Value.Delta
	if e.Value.IsRobot {
		a.Robots++
	}
}

func (countEdits) Merge(a, b *edits) {
	a.Count += b.Count
	a.Added += b.Added
	a.Deleted += b.Deleted
	a.Delta += b.Delta
	a.Robots += b.Robots
}

func (countEdits) Result(key string, w weir.Window, a *edits) edits {
	r := *a
	r.Key, r.Window = key, w
	return r
}

// numbered is a record with its place in the input, from 1.
type numbered[T any] struct {
	Seq   int64
	Value T
}

// number numbers the records of a stream that one subtask reads.
func number[T any](s weir.Stream[T]) weir.Stream[numbered[T]] {
	seq := int64(0)
	return s.Map(func(v T) numbered[T] {
		seq++
		return numbered[T]{seq, v}
	}).Name("number").Parallelism(1)
}

// quoted returns a field of CSV; names of users have commas and quotes.
func quoted(s string) string {
	if strings.ContainsAny(s, ",\"\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func wiki(env *weir.Env, data string, sink weir.Sink[string]) {
	const gap = 10 * time.Minute
	read := weir.From(env, "edits", file.JSONLines[edit](filepath.Join(data, "wiki-edits-2015-09-12.jsonl.gz"))).Parallelism(1)
	numbers := number(read.WithWatermarks(weir.MonotonousTimestamps(), func(e edit) time.Time { return e.Time }).Parallelism(1))
	spread := numbers.Rebalance().Filter(func(numbered[edit]) bool { return true }).Name("spread")
	byChannel := spread.KeyBy(func(e numbered[edit]) string { return e.Value.channel() })

	rows(byChannel.Window(weir.Tumbling(time.Minute)).Aggregate(countEdits{}),
		"wiki_tumbling_1m_channel", func(e edits) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d,%d", e.Window.Start, e.Key, e.Count, e.Added, e.Deleted, e.Delta)
		}, sink)
	rows(byChannel.Window(weir.Sliding(time.Hour, 10*time.Minute)).Aggregate(countEdits{}),
		"wiki_sliding_1h_10m_channel", func(e edits) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d", e.Window.Start, e.Key, e.Count, e.Added, e.Robots)
		}, sink)
	rows(spread.KeyBy(func(e numbered[edit]) string { return e.Value.user() }).Window(weir.Session(gap)).Aggregate(countEdits{}),
		"wiki_session_10m_user", func(e edits) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d", e.Window.Start, quoted(e.Key), e.Window.End-gap.Milliseconds(), e.Count, e.Delta)
		}, sink)
	rows(numbers.KeyBy(func(e numbered[edit]) string { return e.Value.channel() }).Aggregate(countEdits{}),
		"wiki_running_channel", func(e edits) string {
			return fmt.Sprintf("%d,%s,%d,%d", e.Seq, e.Key, e.Count, e.Delta)
		}, sink)
}
