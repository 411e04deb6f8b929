package answers

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstream/weir"
)

// Job is a job with several answers.
type Job struct {
	// Name of the job.
	Name string
	// Answers are the names of what it computes, which are those of the files in the
	// folder "expected".
	Answers []string

	build func(env *weir.Env, data string, sink weir.Sink[string])
}

// Build returns the build function of the job, which reads its input from the
// folder data.
func (j Job) Build(data string, sink weir.Sink[string]) func(*weir.Env) {
	return func(env *weir.Env) { j.build(env, data, sink) }
}

// Jobs returns all jobs.
func Jobs() []Job {
	return []Job{
		{"wiki", []string{"wiki_tumbling_1m_channel", "wiki_sliding_1h_10m_channel", "wiki_session_10m_user", "wiki_running_channel"}, wiki},
		{"nyc", []string{
			"nyc_tumbling_1h_origin", "nyc_sliding_24h_6h_carrier", "nyc_session_72h30s_tailnum",
			"nyc_running_carrier_daily", "nyc_join_carrier", "nyc_lateness_1h",
		}, nyc},
		{"quakes", []string{
			"quakes_tumbling_1h_net", "quakes_sliding_6h_1h_net", "quakes_session_30m_net", "quakes_running_net", "quakes_lateness_1h",
		}, quakes},
	}
}

// Named returns the job of that name, and false if there is none.
func Named(name string) (Job, bool) {
	for _, j := range Jobs() {
		if j.Name == name {
			return j, true
		}
	}
	return Job{}, false
}

// rows ends a stream of the rows of an answer.
func rows[T any](s weir.Stream[T], answer string, row func(T) string, sink weir.Sink[string]) {
	s.Map(func(v T) string { return answer + " " + row(v) }).Name(answer).To(answer, sink)
}

// Compare compares the rows of a job with what the folder data expects, and returns
// an error that names the first difference of each answer.
func (j Job) Compare(data string, rows []string) error {
	got := map[string][]string{}
	for _, r := range rows {
		answer, row, _ := strings.Cut(r, " ")
		got[answer] = append(got[answer], row)
	}
	var errs []error
	for _, answer := range j.Answers {
		want, err := expected(filepath.Join(data, "expected", answer+".csv"))
		if err == nil {
			err = difference(got[answer], want)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", answer, err))
		}
		delete(got, answer)
	}
	for answer, rows := range got {
		errs = append(errs, fmt.Errorf("%s: %d rows of an answer that the job does not have", answer, len(rows)))
	}
	return errors.Join(errs...)
}

// difference compares rows in any order.
func difference(got, want []string) error {
	slices.Sort(got)
	slices.Sort(want)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Errorf("%d rows, want %d; in order, row %d is %q, want %q", len(got), len(want), i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d rows, want %d", len(got), len(want))
	}
	return nil
}

// expected reads the rows of an answer without its header; the file may be
// compressed.
func expected(path string) (rows []string, err error) {
	f, err := os.Open(path)
	compressed := errors.Is(err, fs.ErrNotExist)
	if compressed {
		f, err = os.Open(path + ".gz")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if compressed {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		rows = append(rows, lines.Text())
	}
	if len(rows) < 2 || lines.Err() != nil {
		return nil, fmt.Errorf("%s: %d lines, and %w", f.Name(), len(rows), lines.Err())
	}
	return rows[1:], nil
}
