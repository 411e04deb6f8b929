package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/histogram"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/client"
)

const (
	latencyDuration = 15 * time.Second
	// latencyWarmUp is how long records are not counted, in seconds.
	latencyWarmUp = 1
	// latencyTarget is what the 99th percentile of a pipeline that has nothing to
	// do but an exchange is expected to stay below.
	latencyTarget = time.Millisecond
)

// latencyCase is one of the pipelines whose latency is measured.
type latencyCase struct {
	name string
	// rate is in records per second.
	rate float64
	work time.Duration
}

// latencies are what the sinks of one case measured. Times are in µs.
type latencies struct {
	Bench   string  `json:"bench"`
	Case    string  `json:"case"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
	Records uint64  `json:"records"`
	// TCPRecords are those of them that came over TCP, and TCPP99 is theirs alone.
	TCPRecords uint64  `json:"tcp_records"`
	TCPP99     float64 `json:"tcp_p99_us"`
}

func (h *harness) latency(ctx context.Context) error {
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		for _, each := range []latencyCase{
			{name: "exchange", rate: 10_000},
			{name: "map-1ms", rate: 200, work: time.Millisecond},
		} {
			if err := h.latencyOf(ctx, c, each); err != nil {
				return fmt.Errorf("%s: %w", each.name, err)
			}
		}
		return nil
	})
}

func (h *harness) latencyOf(ctx context.Context, c *cluster.Cluster, l latencyCase) error {
	pace := l.pace(cmp.Or(h.duration, latencyDuration))
	h.say("latency, %s: %v records/s for %.0f s", l.name, l.rate, float64(pace.Records)/l.rate)
	outcome, err := c.Run(ctx, cluster.Job{
		Submission: client.Submission{
			Executable: h.executable("latency"), Arguments: append(pace.Arguments(), "-work", l.work.String()),
			Configuration: map[string]string{"execution.buffer-timeout.interval": "0"},
		},
		Parallelism: splits, Stderr: h.stderr,
	})
	if err != nil {
		return err
	}
	line, err := l.line(outcome.Stdout, uint64(pace.Records-pace.WarmUp))
	if err != nil {
		return err
	}
	if l.work == 0 && line.P99 >= micros(latencyTarget) {
		h.say("latency, %s: the 99th percentile is %v µs; on a machine that is otherwise idle it should be below %v", l.name, line.P99, latencyTarget)
	}
	return h.print(line)
}

func (l latencyCase) pace(d time.Duration) workload.Pace {
	warmUp := int64(l.rate * latencyWarmUp)
	return workload.Pace{Records: warmUp + max(1, int64(l.rate*d.Seconds())), WarmUp: warmUp, Rate: l.rate}
}

// line puts together what the subtasks printed.
func (l latencyCase) line(stdout [][]byte, want uint64) (latencies, error) {
	var remote, all histogram.Histogram
	for _, text := range stdout {
		var found workload.Latencies
		if err := json.Unmarshal(text, &found); err != nil || found.Remote == nil || found.Local == nil {
			return latencies{}, fmt.Errorf("the job printed %q, and not two histograms: %w", text, err)
		}
		remote.Add(found.Remote)
		all.Add(found.Remote)
		all.Add(found.Local)
	}
	if all.Count() != want {
		return latencies{}, fmt.Errorf("%w: the sinks have got %d records, and %d were sent", errWrong, all.Count(), want)
	}
	return latencies{
		Bench: "latency", Case: l.name, Records: all.Count(), TCPRecords: remote.Count(),
		P50: micros(all.Percentile(50)), P99: micros(all.Percentile(99)), Max: micros(all.Max()), TCPP99: micros(remote.Percentile(99)),
	}, half(int64(remote.Count()), int64(all.Count()))
}

// micros returns a duration in µs, rounded to tenths.
func micros(d time.Duration) float64 { return math.Round(d.Seconds()*1e7) / 10 }
