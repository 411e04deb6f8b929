package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/client"
)

const (
	memoryDuration = 2 * time.Minute
	// Memory is flat if it grows by no more than a part of what there was, and a
	// constant: the collector's rhythm moves small heaps by a few MiB.
	growthShare    = 0.05
	growthConstant = 4 << 20
	// least is the least of each second, in ms, that the sink must be busy and the
	// task before it backpressured.
	least = 800
)

// memoryLine is what became of one process's resident memory, in bytes, after
// the warm-up.
type memoryLine struct {
	Bench   string `json:"bench"`
	Process string `json:"process"`
	Samples int    `json:"samples"`
	First   int64  `json:"first_bytes"`
	Last    int64  `json:"last_bytes"`
	Max     int64  `json:"max_bytes"`
	// Growth is by how much the median of the last third of the samples is above
	// that of the first third.
	Growth int64 `json:"growth_bytes"`
	Flat   bool  `json:"flat"`
}

// taskLine is how the subtasks of a task spent their time, on average, in ms per
// second.
type taskLine struct {
	Bench         string `json:"bench"`
	Task          string `json:"task"`
	Busy          int64  `json:"busy_ms_per_second"`
	Idle          int64  `json:"idle_ms_per_second"`
	Backpressured int64  `json:"backpressured_ms_per_second"`
	// RecordsIn is how many records the subtasks have got in all.
	RecordsIn uint64 `json:"records_in"`
}

// boundedMemory watches processes and tasks while a sink is slow.
func (h *harness) boundedMemory(ctx context.Context) error {
	duration := cmp.Or(h.duration, memoryDuration)
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		h.say("bounded-memory: %v, of which the first quarter is not counted", duration)
		s := sampler{processes: c.Processes, resident: cluster.ResidentMemory, now: time.Now, duration: duration}
		_, err := c.Run(ctx, cluster.Job{
			Submission:  client.Submission{Executable: h.executable("slowsink")},
			Parallelism: splits, Stderr: h.stderr, Seen: s.seen,
		})
		if err = errors.Join(err, s.err); err != nil {
			return err
		}
		return h.judge(&s)
	})
}

// judge prints what was sampled and says whether it is as it must be.
func (h *harness) judge(s *sampler) error {
	if len(s.lastJob().Vertices) < 2 {
		return errors.New("nothing was sampled: the time is too short")
	}
	var wrong []error
	for _, name := range s.names {
		line := memoryOf(name, s.memory[name])
		wrong = append(wrong, h.print(line))
		if !line.Flat {
			wrong = append(wrong, fmt.Errorf("the memory of %s grows: by %d KiB to %d KiB", name, line.Growth>>10, line.Last>>10))
		}
	}
	tasks := s.tasks()
	for _, line := range tasks {
		wrong = append(wrong, h.print(line))
	}
	sink, before := tasks[len(tasks)-1], tasks[len(tasks)-2]
	if sink.Busy < least {
		wrong = append(wrong, fmt.Errorf("the sink %q sleeps for each record and is busy for %d ms per second only", sink.Task, sink.Busy))
	}
	if before.Backpressured < least {
		wrong = append(wrong, fmt.Errorf("%q, before the slow sink, is backpressured for %d ms per second only", before.Task, before.Backpressured))
	}
	return errors.Join(wrong...)
}

// sampler looks at a job and at its processes about once a second.
type sampler struct {
	processes func() ([]cluster.Process, error)
	resident  func(pid int) (int64, error)
	now       func() time.Time
	duration  time.Duration

	began  time.Time
	jobs   []*client.Job
	names  []string
	memory map[string][]int64
	err    error
}

// seen takes a sample, once all tasks run and the warm-up is over, and reports
// whether the time is.
func (s *sampler) seen(job *client.Job) (enough bool) {
	if !allRunning(job) {
		return false
	}
	now := s.now()
	if s.began.IsZero() {
		s.began, s.memory = now, map[string][]int64{}
	}
	elapsed := now.Sub(s.began)
	if elapsed < s.duration/4 {
		return false
	}
	s.jobs = append(s.jobs, job)
	if s.err = s.sample(); s.err != nil {
		return true
	}
	return elapsed >= s.duration
}

// allRunning reports whether every subtask of a job runs and has reported how it
// spends its time.
func allRunning(job *client.Job) bool {
	for _, v := range job.Vertices {
		for _, s := range v.Subtasks {
			if m := s.Metrics; s.State != "RUNNING" || m.BusyMillis+m.IdleMillis+m.BackpressuredMillis == 0 {
				return false
			}
		}
	}
	return job.State == client.Running
}

func (s *sampler) sample() error {
	processes, err := s.processes()
	if err != nil {
		return err
	}
	for _, p := range processes {
		bytes, err := s.resident(p.PID)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if s.memory[p.Name] == nil {
			s.names = append(s.names, p.Name)
		}
		s.memory[p.Name] = append(s.memory[p.Name], bytes)
	}
	return nil
}

func (s *sampler) lastJob() *client.Job {
	if len(s.jobs) == 0 {
		return &client.Job{}
	}
	return s.jobs[len(s.jobs)-1]
}

// memoryOf judges the samples of a process.
func memoryOf(name string, samples []int64) memoryLine {
	third := max(1, len(samples)/3)
	first, last := report.Median(samples[:third]), report.Median(samples[len(samples)-third:])
	return memoryLine{
		Bench: "bounded-memory", Process: name, Samples: len(samples),
		First: samples[0], Last: samples[len(samples)-1], Max: slices.Max(samples),
		Growth: last - first, Flat: float64(last-first) <= growthShare*float64(first)+growthConstant,
	}
}

// tasks averages over subtasks and samples.
func (s *sampler) tasks() []taskLine {
	var lines []taskLine
	for v, vertex := range s.lastJob().Vertices {
		line := taskLine{Bench: "bounded-memory", Task: vertex.Name}
		for _, job := range s.jobs {
			for _, subtask := range job.Vertices[v].Subtasks {
				m := subtask.Metrics
				line.Busy += int64(m.BusyMillis)
				line.Idle += int64(m.IdleMillis)
				line.Backpressured += int64(m.BackpressuredMillis)
			}
		}
		n := int64(len(s.jobs) * len(vertex.Subtasks))
		line.Busy, line.Idle, line.Backpressured = line.Busy/n, line.Idle/n, line.Backpressured/n
		for _, subtask := range vertex.Subtasks {
			line.RecordsIn += subtask.Metrics.RecordsIn
		}
		lines = append(lines, line)
	}
	return lines
}
