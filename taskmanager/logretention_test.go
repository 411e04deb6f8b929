package taskmanager

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/ids"
)

// What is kept is young enough, few enough and younger than what goes; and
// nothing goes without need.
func TestExpiredLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := logRetention{jobs: rapid.IntRange(1, 5).Draw(t, "jobs"), age: time.Duration(rapid.IntRange(1, 20).Draw(t, "age"))}
		now := time.Unix(1000, 0)
		age := map[ids.JobID]time.Duration{}
		written := map[ids.JobID]time.Time{}
		for i, n := range rapid.SliceOfN(rapid.IntRange(-2, 25), 0, 9).Draw(t, "ages") {
			job := ids.JobID{byte(i)}
			age[job], written[job] = time.Duration(n), now.Add(-time.Duration(n))
		}
		gone := r.expired(written, now)
		kept, fresh := 0, 0
		for job := range age {
			if age[job] <= r.age {
				fresh++
			}
			if slices.Contains(gone, job) {
				continue
			}
			kept++
			if age[job] > r.age {
				t.Fatalf("%s is kept at the age of %d", job, age[job])
			}
			for _, other := range gone {
				if age[other] < age[job] {
					t.Fatalf("%s goes at the age of %d, %s stays at that of %d", other, age[other], job, age[job])
				}
			}
		}
		if kept != min(fresh, r.jobs) || kept+len(gone) != len(age) {
			t.Fatalf("of %d logs, %d of them fresh, %d stay and %d go", len(age), fresh, kept, len(gone))
		}
	})
}

func TestLogsOfEndedJobsAreRemoved(t *testing.T) {
	directory := t.TempDir()
	logs, err := openJobLogs(directory, 100, 2, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	write := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte("printed"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	name := func(n byte) string { return ids.JobID{n}.String() + ".log" }
	// Job 1 runs, whatever its age; the newest file of 2 counts.
	if _, err := logs.open(ids.JobID{1}); err != nil {
		t.Fatal(err)
	}
	write(name(1), 100*time.Hour)
	write(name(1)+".1", 200*time.Hour)
	write(name(2), time.Hour)
	write(name(2)+".1", 50*time.Hour)
	write(name(3), 2*time.Hour)
	write(name(4), 3*time.Hour)
	write(name(4)+".2", 4*time.Hour)
	others := []string{"taskmanager.log", "x.log.1", name(5) + ".old", name(5) + ".01", name(5) + ".0", name(5) + "x", name(5) + ".", ids.JobID{5}.String()}
	for _, other := range others {
		write(other, 1000*time.Hour)
	}
	if err := os.Mkdir(filepath.Join(directory, name(6)), 0o700); err != nil {
		t.Fatal(err)
	}
	others = append(others, name(6))
	check := func(what string, want ...string) {
		t.Helper()
		entries, err := os.ReadDir(directory)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, entry := range entries {
			if !slices.Contains(others, entry.Name()) {
				got = append(got, entry.Name())
			}
		}
		if !slices.Equal(got, want) || len(entries)-len(got) != len(others) {
			t.Errorf("%s: %q and %d others are left; want %q and %d", what, got, len(entries)-len(got), want, len(others))
		}
	}
	logs.sweep(now, logRetention{jobs: 3, age: 3 * time.Hour})
	check("nothing to remove", name(1), name(1)+".1", name(2), name(2)+".1", name(3), name(4), name(4)+".2")
	logs.sweep(now, logRetention{jobs: 2, age: 3 * time.Hour})
	check("too many", name(1), name(1)+".1", name(2), name(2)+".1", name(3))
	logs.sweep(now.Add(time.Second), logRetention{jobs: 2, age: 2 * time.Hour})
	check("too old", name(1), name(1)+".1", name(2), name(2)+".1")
	logs.release(ids.JobID{1})
	logs.sweep(now.Add(time.Second), logRetention{jobs: 2, age: 2 * time.Hour})
	check("the job has ended", name(2), name(2)+".1")
}
