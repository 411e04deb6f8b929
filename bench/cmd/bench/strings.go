package main

import (
	"context"
	"errors"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
)

// strings compares strings of 16 bytes as keys with integers.
func (h *harness) strings(ctx context.Context) error {
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		for _, keys := range h.keys {
			if err := h.besideIntegers(ctx, c, keys); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *harness) besideIntegers(ctx context.Context, c *cluster.Cluster, keys uint64) error {
	// Strings take about twice as long as the limit, or longer.
	w, err := h.workFor(ctx, keys, h.seconds/2)
	if err != nil {
		return err
	}
	var ratios report.Ratios
	pairs := min(h.pairs, fewPairs)
	for i := range pairs {
		h.say("strings, %d keys: pair %d of %d", keys, i+1, pairs)
		strings, err := h.runWeir(ctx, c, w, variant{bench: "strings", name: "string", arguments: []string{"-strings"}})
		if err != nil {
			return err
		}
		integers, err := h.runWeir(ctx, c, w, variant{bench: "strings", name: "integer"})
		if err != nil {
			return err
		}
		ratios.Add(strings, integers)
	}
	return errors.Join(
		h.compare(ratios, report.Comparison{Bench: "strings", Ratio: "string/integer", Keys: keys}),
		h.profile(ctx, c, w, variant{bench: "strings", arguments: []string{"-strings"}}))
}
