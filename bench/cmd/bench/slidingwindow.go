package main

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
)

// slidingPanes are the sizes of sliding windows, divided by their slide.
var slidingPanes = []int64{10, 60}

// slidingWindow compares sliding windows with tumbling ones that are as long as the
// slide, which fire as often.
func (h *harness) slidingWindow(ctx context.Context) error {
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		for _, keys := range h.keys {
			if err := h.besideTumbling(ctx, c, keys); err != nil {
				return err
			}
		}
		return nil
	})
}

// besideTumbling has tumbling windows and sliding ones of every kind take turns.
func (h *harness) besideTumbling(ctx context.Context, c *cluster.Cluster, keys uint64) error {
	tumbling, err := h.workFor(ctx, keys, h.seconds)
	if err != nil {
		return err
	}
	variants := h.slidingVariants(tumbling)
	ratios := make([]report.Ratios, len(variants))
	held := make([]float64, len(variants))
	for i := range min(h.pairs, fewPairs) {
		h.say("sliding-window, %d keys: round %d of %d", keys, i+1, min(h.pairs, fewPairs))
		other, err := h.runWeir(ctx, c, tumbling, variant{bench: "sliding-window", name: "tumbling"})
		if err != nil {
			return err
		}
		for j, v := range variants {
			figure, err := h.runWeir(ctx, c, v.work, v.variant)
			if err != nil {
				return err
			}
			ratios[j].Add(figure, other)
			held[j] = max(held[j], figure.HeldMS)
		}
	}
	for j, v := range variants {
		named := report.Comparison{Bench: "sliding-window", Ratio: "sliding/tumbling", Keys: keys, Sliding: v.sliding, HeldMS: held[j]}
		if err := h.compare(ratios[j], named); err != nil {
			return err
		}
	}
	return nil
}

// slidingVariant is a kind of sliding windows, with what must come out.
type slidingVariant struct {
	variant
	work work
}

func (h *harness) slidingVariants(w work) (variants []slidingVariant) {
	for _, panes := range slidingPanes {
		sliding := work{w.Params, w.SlidingAnswer(splits, panes)}
		for _, subtract := range []bool{false, true} {
			variants = append(variants, slidingVariant{variant{
				bench: "sliding-window", name: "sliding", sliding: report.Sliding{Panes: panes, Subtract: &subtract},
				arguments: []string{"-panes", fmt.Sprint(panes), fmt.Sprintf("-subtract=%v", subtract)},
			}, sliding})
		}
	}
	return variants
}
