package shuffle

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFifoIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[int]
		var model []int
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				v := rapid.Int().Draw(t, "v")
				q.push(v)
				model = append(model, v)
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					return // empty
				}
				if got := q.pop(); got != model[0] {
					t.Fatalf("pop gave %d, the model has %d", got, model[0])
				}
				model = model[1:]
			},
			"": func(t *rapid.T) {
				if q.len() != len(model) {
					t.Fatalf("length %d, the model has %d", q.len(), len(model))
				}
				if len(model) > 0 && (*q.front() != model[0] || *q.back() != model[len(model)-1]) {
					t.Fatalf("front %d back %d, the model has %v", *q.front(), *q.back(), model)
				}
			},
		})
	})
}
